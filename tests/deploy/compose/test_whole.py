"""All that compose.yaml starts, as processes on this machine: its jobs' commands and its services'
environments, with only addresses and passwords replaced, behind the router.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.compose.compose_file import environment, services
from tests.support.clickhouse import ClickHouse, clickhouse
from tests.support.kafka import Kafka
from tests.support.router import Router
from tests.support.services import Service
from tests.support.stack import wait_until

TALLY = Path(sys.executable).with_name("tally")
PREFIX = "compose"


class Containers:
    """What runs in place of the containers."""

    def __init__(self, directory: Path, kafka: Kafka, server: ClickHouse, url: str) -> None:
        self._directory = directory
        self._replaced = {
            "TALLY_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "TALLY_CLICKHOUSE_URL": server.url,
            "TALLY_URL": url,
        }
        self.running: list[Service] = []

    def environment(self, name: str, **more: str) -> dict[str, str]:
        """A service's own, at these addresses, without the users that an embedded server lacks."""
        own = environment(name)
        for variable in own.keys() & self._replaced.keys():
            own[variable] = self._replaced[variable]
        users = [
            name for name in own if "CLICKHOUSE" in name and ("USER" in name or "PASS" in name)
        ]
        for variable in users:
            del own[variable]
        home = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**home, "TALLY_KAFKA_TOPIC_PREFIX": PREFIX, **own, **more}

    def job(self, name: str, *arguments: str) -> str:
        """Run a job to its end and give what it printed; arguments take the place of its own."""
        service = services()[name]
        assert service["entrypoint"] == ["tally"]
        done = subprocess.run(
            [TALLY, *(arguments or service["command"])],
            capture_output=True,
            text=True,
            check=False,
            cwd=self._directory,
            env=self.environment(name),
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str, **more: str) -> None:
        """Start one replica of a service."""
        (module,) = services()[name]["command"]
        log = self._directory / f"{name}-{len(self.running)}.log"
        service = Service(module, self.environment(name, **more), log)
        service.start()
        self.running.append(service)

    def outputs(self) -> str:
        """What all of them printed."""
        return "\n".join(service.output() for service in self.running)


@pytest.fixture
def containers(tmp_path: Path, kafka: Kafka, router: Router) -> Iterator[Containers]:
    with ExitStack() as stack:
        server = stack.enter_context(clickhouse(tmp_path / "clickhouse"))
        made = Containers(tmp_path, kafka, server, router.url)
        yield made
        for service in made.running:
            if service.runs():
                service.kill()


class Client:
    """A client of the router, with a key."""

    def __init__(self, router: Router, api_key: str) -> None:
        self._router = router
        # A connection for each request, so that each may come to another gateway.
        self._headers = {"x-api-key": api_key, "Connection": "close"}

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request that must succeed; give the answer's JSON."""
        async with self._router.session.request(
            method, path, json=body, headers=self._headers
        ) as answer:
            assert answer.ok, await answer.text()
            return await answer.json()

    async def properties(self) -> dict[str, Any]:
        """Those of every event that can be read, by its ID."""
        page = await self.ask("POST", "/v1/events/query", {"page_size": 1000})
        assert page["total_count"] == len(page["events"])
        found = {event["id"]: event["properties"] for event in page["events"]}
        assert len(found) == len(page["events"]), "an event ID came twice"
        return found


def event(number: int, text: str) -> dict[str, Any]:
    """An event as it is sent."""
    return {
        "event_id": f"id/{number}",
        "event_name": "api.request",
        "external_customer_id": "customer",
        "properties": {"text": text},
    }


async def start_all(router: Router, containers: Containers) -> None:
    """Start the services, two of each that scale, behind the router."""
    gateways = [router.replica("gateway"), router.replica("gateway")]
    query = router.replica("query")
    for replica in gateways:
        where = {
            "TALLY_GATEWAY_HOST": replica.address,
            "TALLY_GATEWAY_PORT": str(replica.port),
        }
        containers.start("gateway", **where)
    containers.start("query", TALLY_QUERY_HOST=query.address, TALLY_QUERY_PORT=str(query.port))
    containers.start("consumer")
    containers.start("consumer")
    for replica in (*gateways, query):
        await asyncio.to_thread(
            wait_until, replica.answers_ready, within_s=60, what=f"{replica.service} is ready"
        )
    await router.scale("gateway", *gateways)
    await router.scale("query", query)


async def test_an_event_goes_all_the_way(router: Router, containers: Containers) -> None:
    """After the jobs and with a key made by 'tools', events sent through the router to two
    gateways are read through it once each, the last send of each; then all stop by themselves.
    """
    containers.job("topics")
    assert containers.job("topics") == "nothing to do\n"
    containers.job("migrate")
    client = Client(router, containers.job("tools", "keys", "create", "--tenant", "acme").strip())
    await start_all(router, containers)

    for text in ("first", "last"):
        for start in range(0, 100, 10):
            bulk = [event(number, text) for number in range(start, start + 10)]
            await client.ask("POST", "/v1/events/bulk", {"events": bulk})
    await client.ask("POST", "/v1/events", event(100, "last"))

    wanted = {f"id/{number}": {"text": "last"} for number in range(101)}
    deadline = time.monotonic() + 60
    while await client.properties() != wanted:
        assert time.monotonic() < deadline, containers.outputs()
        await asyncio.sleep(0.1)
    assert (await client.ask("GET", "/v1/events/id%2F7"))["properties"] == {"text": "last"}
    assert set((await client.ask("GET", "/ingest/readyz")).values()) == {"ok"}
    assert set((await client.ask("GET", "/query/readyz")).values()) == {"ok"}

    status = json.loads(await asyncio.to_thread(containers.job, "tools", "status", "--json"))
    assert set(status["parts"].values()) == {"ok"}
    assert status["events"] == {"acme": 101}
    assert len(status["consumers"]) == 2

    for service in containers.running:
        assert await asyncio.to_thread(service.stop) == 0, service.output()
