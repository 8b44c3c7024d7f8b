"""The three services as processes: what they say of their settings, and how they end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.clickhouse import ClickHouse, clickhouse, free_port
from tests.support.kafka import Broker, Kafka
from tests.support.services import Service, Services, run, services
from tests.support.stack import wait_until

MODULES = ("ingest_gateway", "consumer", "query_api")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    with clickhouse(tmp_path_factory.mktemp("engine")) as server:
        yield server


@pytest.fixture
def prepared(kafka: Kafka, engine: ClickHouse, tmp_path: Path) -> Iterator[Services]:
    with services(tmp_path / "services", kafka.bootstrap_servers, engine.url) as made:
        yield made


def call(module: str, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("module", MODULES)
def test_every_wrong_setting_is_told_before_anything_starts(module: str) -> None:
    """Kafka's, ClickHouse's and the service's own together, in one line, with exit status 1."""
    env = {
        "TALLY_KAFKA_SECURITY_PROTOCOL": "TLS",
        "TALLY_CLICKHOUSE_URL": "clickhouse",
        "TALLY_GATEWAY_PORT": "x",
        "TALLY_QUERY_PORT": "x",
        "TALLY_CONSUMER_MAX_BATCH_ROWS": "x",
    }
    own = {
        "ingest_gateway": ["TALLY_GATEWAY_PORT"],
        "consumer": ["TALLY_CONSUMER_MAX_BATCH_ROWS", "TALLY_CLICKHOUSE_URL"],
        "query_api": ["TALLY_QUERY_PORT", "TALLY_CLICKHOUSE_URL"],
    }
    ended = call(module, env)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    for name in ("BOOTSTRAP_SERVERS must be set", "SECURITY_PROTOCOL='TLS'", *own[module]):
        assert name in line


@pytest.mark.parametrize("module", MODULES)
def test_check_leaves_with_0_when_all_is_right(module: str, prepared: Services) -> None:
    """``--check`` connects to everything, says so, and starts nothing."""
    ended = call(module, prepared.env, "--check")
    assert ended.returncode == 0, ended.stderr
    assert "settings are good" in ended.stdout


@pytest.mark.parametrize("module", MODULES)
def test_check_says_what_cannot_be_reached(module: str, prepared: Services) -> None:
    """With Kafka away it names the setting that says where Kafka should be."""
    env = {**prepared.env, "TALLY_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"}
    ended = call(module, env, "--check")
    assert ended.returncode == 1
    assert "TALLY_KAFKA_BOOTSTRAP_SERVERS" in ended.stderr


@pytest.mark.parametrize("module", ["ingest_gateway", "consumer"])
def test_a_topic_with_producers_time_is_refused(
    module: str, kafka: Kafka, prepared: Services
) -> None:
    """Versions hang on the log's clock: the service names topic, setting and remedy, and ends."""
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    env = {**prepared.env, "TALLY_KAFKA_TOPIC_PREFIX": prepared.kafka.topic_prefix + "-bad"}
    topic = env["TALLY_KAFKA_TOPIC_PREFIX"] + ".events"

    async def make() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        await admin.start()
        await admin.create_topics([NewTopic(topic, 1, 1)])
        await admin.close()

    run(make)
    ended = call(module, env)
    assert ended.returncode == 1
    assert topic in ended.stderr
    assert "message.timestamp.type" in ended.stderr
    assert "tally topics apply" in ended.stderr


@pytest.mark.parametrize("module", MODULES)
def test_a_service_waits_for_kafka_and_can_be_stopped_meanwhile(
    module: str, prepared: Services, tmp_path: Path
) -> None:
    """Started before Kafka it is alive, says what it waits for, and a SIGTERM ends it with 0."""
    address = f"127.0.0.1:{free_port()}"
    env = {**prepared.env, "TALLY_KAFKA_BOOTSTRAP_SERVERS": address}
    service = Service(module, env, tmp_path / "waiting.log")
    service.start()
    try:
        wait_until(lambda: address in service.output(), within_s=30, what="a line on Kafka")
        assert service.runs()
        assert service.stop() == 0, service.output()
    finally:
        if service.runs():
            service.kill()


def test_the_gateway_is_not_ready_without_kafka(prepared: Services, tmp_path: Path) -> None:
    """It answers /livez, says on /readyz what is missing, and turns events away as not stored."""
    prepared.gateway.env["TALLY_KAFKA_BOOTSTRAP_SERVERS"] = f"127.0.0.1:{free_port()}"
    prepared.gateway.start()
    url = prepared.gateway_url
    wait_until(lambda: prepared.get_status(f"{url}/livez") == 200, what="the gateway's port")
    assert prepared.get_status(f"{url}/readyz") == 503
    status, _ = prepared.send([{"event_name": "a", "external_customer_id": "b"}])
    assert status == 503
    assert prepared.gateway.stop() == 0


def test_services_end_with_0_when_they_are_told_to(prepared: Services) -> None:
    """SIGTERM: what was taken is stored and committed, every exit status is 0."""
    prepared.start()
    events: list[dict[str, Any]] = [
        {"event_name": "a", "external_customer_id": "b", "event_id": str(number)}
        for number in range(2000)
    ]
    assert prepared.send(events)[0] == 202
    prepared.wait_until_stored()
    started = [prepared.gateway, *prepared.consumers, prepared.query]
    assert [service.stop() for service in started] == [0, 0, 0]


def test_services_end_with_0_while_kafka_is_away(engine: ClickHouse, tmp_path: Path) -> None:
    """A SIGTERM in the middle of an outage: nothing was held, so every exit status is 0, in time,
    and nobody is shown a traceback.
    """
    with (
        Broker(tmp_path / "kafka") as broker,
        services(tmp_path / "services", broker.bootstrap_servers, engine.url) as made,
    ):
        made.start()
        assert made.send([{"event_name": "a", "external_customer_id": "b"}])[0] == 202
        made.wait_until_stored()
        broker.kill()
        started = [made.gateway, *made.consumers, made.query]
        for service in started:
            wait_until(lambda one=service: "nable" in one.output(), what="an outage seen")
        assert [service.stop() for service in started] == [0, 0, 0]
        assert not any("Traceback" in service.output() for service in started)
