"""A sender without IDs of its own retries while Kafka is frozen, and is never counted twice."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from schemas.event import idempotent_event_id
from tests.support.clickhouse import ClickHouse, free_port
from tests.support.kafka import Broker
from tests.support.services import Service, Services, run, services
from tests.support.stack import wait_until
from tests.support.topics import read_topic
from tests.support.traffic import table

ANSWERED_S = 4.9  # a common client library gives up at 5
EVENT = {"event_name": "call", "external_customer_id": "acme"}
BULK = [{**EVENT, "properties": {"place": place}} for place in range(3)]
SEQUENCE_EVENT = {"customerAlias": "acme", "eventType": "call", "eventProperties": {}}


@dataclass
class Call:
    """A request that is sent until it is accepted, byte for byte the same each time."""

    path: str
    body: Any
    headers: dict[str, str]
    event_ids: list[str]  # what its events must be known by in the end

    def send(self, base_url: str, api_key: str) -> tuple[int, Any]:
        """Send it; give status and JSON. It must be answered in time."""
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {"x-api-key": api_key, "Content-Type": "application/json", **self.headers}
        began = time.monotonic()
        try:
            with urlopen(Request(base_url + self.path, body, headers), timeout=15) as answer:
                found = answer.status, json.load(answer)
        except HTTPError as error:
            found = error.code, json.load(error)
        assert time.monotonic() - began < ANSWERED_S
        return found


def calls(tenant: str) -> list[Call]:
    """One of each way to send events without IDs, under an Idempotency-Key."""

    def under(key: str, path: str, body: Any, count: int = 1, **headers: str) -> Call:
        ids = [idempotent_event_id(tenant, key, place) for place in range(count)]
        return Call(path, body, {"Idempotency-Key": key, **headers}, ids)

    ndjson = "\n".join(map(json.dumps, BULK)).encode()
    return [
        under("one", "/v1/events", EVENT),
        under("bulk", "/v1/events/bulk", {"events": BULK}, len(BULK)),
        under("lines", "/v1/events/bulk", ndjson, 3, **{"Content-Type": "application/x-ndjson"}),
        under("sequence", "/api/usage-events", SEQUENCE_EVENT),
    ]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker") as started:
        yield started


@pytest.fixture
def running(broker: Broker, engine: ClickHouse, tmp_path: Path) -> Iterator[Services]:
    kafka = broker.bootstrap_servers
    with services(tmp_path / "services", kafka, engine.url, partitions=16) as made:
        made.start()
        yield made


@pytest.fixture
def gateways(running: Services, tmp_path: Path) -> Iterator[list[str]]:
    """The addresses of two gateways: a retry may come to another one than the first attempt."""
    env = {**running.env, "TALLY_GATEWAY_PORT": str(free_port())}
    second = Service("ingest_gateway", env, tmp_path / "second.log")
    url = f"http://127.0.0.1:{env['TALLY_GATEWAY_PORT']}"
    second.start()
    try:
        wait_until(
            lambda: running.get_status(f"{url}/readyz") == 200,
            within_s=60,
            what=f"the second gateway\n{second.output()}",
        )
        yield [running.gateway_url, url]
    finally:
        if second.runs():
            second.kill()


def test_retries_without_ids_count_once(
    broker: Broker, running: Services, gateways: list[str]
) -> None:
    """Every attempt under an Idempotency-Key, whichever gateway it met and whatever became of it,
    stands for the same events; so does a retry with the IDs that a 503 gave, without the header.
    """
    api_key = running.key.api_key
    one, *others = sent = calls(running.tenant)
    without_key = Call("/v1/events/bulk", {"events": BULK}, {}, [])
    broker.freeze()
    try:
        with ThreadPoolExecutor(len(sent) + 1) as senders:
            # Each is the first of its gateway, so its records are with Kafka's client at once.
            attempts = [
                senders.submit(without_key.send, gateways[0], api_key),
                senders.submit(one.send, gateways[1], api_key),
            ]
            for status, answer in (attempt.result() for attempt in attempts):
                assert (status, answer["details"]["outcome"]) == (503, "unknown"), answer
            without_key.event_ids = attempts[0].result()[1]["details"]["event_ids"]
            assert attempts[1].result()[1]["details"]["event_ids"] == one.event_ids
            assert len(without_key.event_ids) == len(BULK)
            named = zip(BULK, without_key.event_ids, strict=True)
            without_key.body = {"events": [{**event, "event_id": made} for event, made in named]}
            # Of these some wait behind the ones above, and are told that they are not stored.
            for url in (*gateways, gateways[0]):
                again = senders.map(lambda call, url=url: call.send(url, api_key), [*others, one])
                for (status, answer), call in zip(again, [*others, one], strict=True):
                    assert status == 503, answer
                    assert answer["details"].get("event_ids", call.event_ids) == call.event_ids
    finally:
        broker.thaw()
    for call in [*sent, without_key]:
        for url in gateways:
            wait_until(
                lambda call=call, url=url: call.send(url, api_key)[0] in (201, 202),
                within_s=60,
                what=f"{call.path} accepted by {url}",
            )
    running.wait_until_stored()

    expected = sorted(one for call in [*sent, without_key] for one in call.event_ids)
    assert sorted(table(running)) == expected
    assert read_by_the_query_service(running) == expected
    records = run(lambda: read_topic(running.kafka))
    times = Counter(record.key.partition(b"\0")[2].decode() for record in records)
    assert sorted(times) == expected
    # The test proves nothing unless the attempts whose outcome was unknown landed, too.
    assert min(times[event_id] for event_id in [*one.event_ids, *without_key.event_ids]) >= 3
    assert min(times.values()) >= len(gateways)


def read_by_the_query_service(running: Services) -> list[str]:
    """The IDs that a list answers, sorted; the count beside it must agree."""
    headers = {"x-api-key": running.key.api_key, "Content-Type": "application/json"}
    url = f"{running.query_url}/v1/events/query"
    with urlopen(Request(url, b'{"page_size":1000}', headers), timeout=15) as answer:
        page = json.load(answer)
    assert page["total_count"] == len(page["events"])
    return sorted(event["id"] for event in page["events"])
