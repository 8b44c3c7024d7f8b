"""compose.yaml: that every service is told what it reads, in the right order and no more."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from consumer.kafka.settings import GroupSettings
from consumer.settings import Settings as ConsumerSettings
from deploy.clickhouse.store import OLDEST_VERSION
from ingest_gateway.settings import Settings as GatewaySettings
from query_api.settings import Settings as QuerySettings
from schemas.clickhouse import ClickHouseSettings
from schemas.kafka import KafkaSettings
from schemas.settings import Variables
from tests.deploy.compose.compose_file import (
    DIRECTORY,
    FILE,
    compose,
    defaults,
    environment,
    services,
)

OURS = ("topics", "migrate", "users", "gateway", "consumer", "query", "tools")
JOBS = ("topics", "migrate", "users")
PASSWORDS = ("TALLY_CLICKHOUSE_WRITER_PASSWORD", "TALLY_CLICKHOUSE_READER_PASSWORD")
Read = Callable[[Variables], Any]
READS: dict[str, tuple[Read, ...]] = {
    "topics": (KafkaSettings.read,),
    "migrate": (ClickHouseSettings.read,),
    "users": (ClickHouseSettings.read, lambda given: [given.secret(name) for name in PASSWORDS]),
    "gateway": (GatewaySettings.read, KafkaSettings.read),
    "consumer": (ConsumerSettings.read, KafkaSettings.read, GroupSettings.read),
    "query": (QuerySettings.read, KafkaSettings.read),
}


class Asked(Mapping[str, str]):
    """An environment that notes what it is asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@pytest.mark.parametrize("name", READS)
def test_every_variable_is_read_and_good(name: str, tmp_path: Path) -> None:
    """A service's settings take its environment, and no variable is misspelt or another's."""
    env = environment(name)
    for variable in env:
        if variable.endswith("_FILE"):
            secret = tmp_path / variable
            secret.write_text("secret")
            env[variable] = str(secret)
    asked = Asked(env)
    variables = Variables(asked)
    for read in READS[name]:
        read(variables)
    variables.check()
    assert set(env) <= asked.names


@pytest.mark.unit
@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("gateway", "TALLY_GATEWAY_MAX_EVENTS_PER_S_PER_KEY"),
        ("gateway", "TALLY_GATEWAY_BODY_TIMEOUT_S"),
        ("consumer", "TALLY_CONSUMER_MAX_BATCH_ROWS"),
        ("query", "TALLY_QUERY_TIMEOUT_S"),
        *((name, "TALLY_LOG_FORMAT") for name in ("gateway", "consumer", "query")),
    ],
)
def test_what_env_sets_reaches_the_service(name: str, variable: str) -> None:
    """All of .env is passed on, and compose.yaml, which would win, says nothing else."""
    assert services()[name]["env_file"] == [{"path": ".env", "required": False}]
    assert variable not in environment(name)


def seconds(duration: str) -> float:
    """Compose's short durations."""
    assert duration.endswith("s")
    return float(duration[:-1])


@pytest.mark.unit
def test_passwords_come_from_files_alone() -> None:
    """None stands in the file, and a service is shown those that it is told of, no other."""
    for name, service in services().items():
        env = service.get("environment", {})
        assert not [variable for variable in env if variable.endswith("PASSWORD")], name
        told = {Path(value).name for variable, value in env.items() if variable.endswith("_FILE")}
        assert told == set(service.get("secrets", ())), name
    declared = compose()["secrets"]
    assert {each["file"] for each in declared.values()} == {f"secrets/{name}" for name in declared}
    assert {"secrets/", ".env"} <= set((DIRECTORY / ".gitignore").read_text().split())


@pytest.mark.unit
def test_containers_may_do_little() -> None:
    """No capabilities, no way to gain any, bounded memory and logs; ours can write nowhere."""
    for name, service in services().items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["logging"] == {"driver": "local"}, name
        assert "mem_limit" in service, name
        if name in (*OURS, "router"):
            assert service["read_only"] is True, name


@pytest.mark.unit
def test_parts_that_scale_have_nothing_that_only_one_can_have() -> None:
    """No name and no port of the host; what is published is on loopback unless .env says more."""
    for name in ("gateway", "consumer", "query"):
        assert not {"container_name", "ports", "hostname"} & set(services()[name]), name
    published = [port for service in services().values() for port in service.get("ports", ())]
    assert published == ["127.0.0.1:8123:8123", "127.0.0.1:8080:8080"]


@pytest.mark.unit
def test_every_part_has_the_time_to_stop_that_it_may_take() -> None:
    """Docker's SIGKILL comes after a service's own longest drain."""
    grace = {
        name: seconds(service["stop_grace_period"])
        for name, service in services().items()
        if "stop_grace_period" in service
    }
    # The drains of ingest_gateway/__main__.py, the settings, query_api/__main__.py, router.cfg.
    assert grace["gateway"] > 4 + 10
    assert grace["consumer"] > ConsumerSettings.drain_timeout_s + 5
    assert grace["query"] > 10
    assert grace["router"] > 10


def before(name: str) -> dict[str, str]:
    """Everything that must have come before a service, and how far: the condition."""
    found: dict[str, str] = {}
    for other, how in services()[name].get("depends_on", {}).items():
        found |= {other: how["condition"], **before(other)}
    return found


@pytest.mark.unit
def test_the_order_of_the_start() -> None:
    """Brokers and server healthy, then the jobs, done, then who needs them. Events are accepted
    without ClickHouse.
    """
    done, healthy = "service_completed_successfully", "service_healthy"
    assert before("gateway") == {"topics": done, "kafka": healthy}
    tables = {"users": done, "migrate": done, "clickhouse": healthy}
    assert before("consumer") == before("query") == {**before("gateway"), **tables}
    assert services()["router"]["depends_on"] == {
        "gateway": {"condition": "service_started"},
        "query": {"condition": "service_started"},
    }
    for name in ("kafka", "clickhouse", "gateway", "query", "router"):
        assert "healthcheck" in services()[name], name


@pytest.mark.unit
def test_one_service_builds_the_image_that_all_use() -> None:
    """Two would race for its name; and it is never looked for in a registry."""
    built = [name for name in OURS if "build" in services()[name]]
    assert built == ["topics"]
    assert {services()[name]["image"] for name in OURS} == {"tally:local"}
    policies = {services()[name]["pull_policy"] for name in OURS if name not in built}
    assert policies == {"never"}


@pytest.mark.unit
def test_foreign_images_are_pinned_and_new_enough() -> None:
    """Each names a version; ClickHouse's is one on which reads are exact."""
    images = {name: each["image"] for name, each in services().items() if name not in OURS}
    for name, image in images.items():
        assert re.search(r":\d+\.\d+", image), name
    major, minor = images["clickhouse"].rpartition(":")[2].split(".")[:2]
    assert (int(major), int(minor)) >= OLDEST_VERSION


@pytest.mark.unit
def test_the_router_is_told_where_the_services_listen() -> None:
    """Its addresses are their names and ports, on a network that they share."""
    told = environment("router")
    assert told["TALLY_GATEWAY"] == f"gateway:{environment('gateway')['TALLY_GATEWAY_PORT']}"
    assert told["TALLY_QUERY"] == f"query:{environment('query')['TALLY_QUERY_PORT']}"
    read = set(re.findall(r'"\$\{(\w+)\}"', (DIRECTORY / "router.cfg").read_text()))
    assert set(told) == read
    assert services()["router"]["networks"] == ["front"]
    assert "front" in services()["gateway"]["networks"]
    assert "front" in services()["query"]["networks"]


@pytest.mark.unit
def test_the_example_names_every_setting_with_its_default() -> None:
    """.env.example has what compose.yaml asks for, as it is without an .env."""
    lines = (DIRECTORY / ".env.example").read_text().splitlines()
    example = dict(line[1:].split("=") for line in lines if line.startswith("#TALLY_"))
    assert example == defaults()


def test_dockers_own_parser_takes_it() -> None:
    """Where its Compose plugin is installed, which needs no engine for this."""
    docker = shutil.which("docker")
    asked = docker and subprocess.run(
        [docker, "compose", "version"], capture_output=True, check=False
    )
    if not asked or asked.returncode:
        # Not a failure on CI either: the plugin is in no package of Debian's, and building it
        # takes minutes. What the file must hold is tested above, without it.
        pytest.skip("needs Docker's Compose plugin ('docker compose version')")
    done = subprocess.run(
        ["docker", "compose", "-f", FILE, "--profile", "tools", "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COMPOSE_DISABLE_ENV_FILE": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")
