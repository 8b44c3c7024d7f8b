"""Kafka goes away in mid-load: stopped, frozen, or the leader of three killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tests.support.clickhouse import ClickHouse
from tests.support.kafka import Broker, cluster
from tests.support.services import Services, run, services
from tests.support.stack import wait_until
from tests.support.traffic import Once, sized, table

MIB = 1024 * 1024
MAX_MEMORY_BYTES = 300 * MIB
ANSWERED_S = 4.9  # a common client library gives up at 5


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker") as started:
        yield started


def check(load: Once, running: Services) -> None:
    """Every acknowledged event is in the table, none that was refused as not stored is, and every
    refusal was one that a sender can act on, in time.
    """
    found = set(table(running))
    assert load.ids(202) <= found
    assert not load.ids(503, "not_stored") & found
    assert found <= load.ids(202) | load.ids(503, "unknown")
    for answer in load.refusals():
        assert answer.status == 503, answer
        assert answer.outcome in ("not_stored", "unknown"), answer
        assert int(answer.retry_after or 0) >= 1, answer
    slowest_s = max(answer.seconds for _, answer in load.answers)
    assert slowest_s < ANSWERED_S
    peaks = [one.peak_memory_bytes() for one in (running.gateway, *running.consumers)]
    print(
        f"{len(load.ids(202))} acknowledged, {len(load.ids(503, 'not_stored'))} not stored,"
        f" {len(load.ids(503, 'unknown'))} unknown of which {len(found - load.ids(202))} landed;"
        f" slowest answer {slowest_s:.2f} s; peaks {[peak // MIB for peak in peaks]} MiB"
    )
    assert max(peaks) < MAX_MEMORY_BYTES


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_nothing_acknowledged_is_lost_while_the_broker_is_away(
    how: str, broker: Broker, engine: ClickHouse, tmp_path: Path
) -> None:
    """Every 202 is in the table, all others were a 503 in time that says what became of them;
    /readyz says 503 meanwhile; gateway and consumer go on by themselves, in little memory.
    """
    leave: Callable[[], object] = broker.stop if how == "stopped" else broker.freeze
    come_back = broker.start if how == "stopped" else broker.thaw
    with services(tmp_path / "services", broker.bootstrap_servers, engine.url) as running:
        running.start()
        with Once(running, bulk=sized(100, 1000)) as load:
            wait_until(lambda: load.acknowledged() > 20, what="load")
            leave()
            left_at = time.monotonic()
            try:
                until_ready(running, 503)
                wait_until(
                    lambda: time.monotonic() > left_at + sized(6, 20), what="the time to be away"
                )
                assert running.gateway.runs()
                assert running.get_status(f"{running.gateway_url}/livez") == 200
            finally:
                come_back()
            until_ready(running, 200)
            before = load.acknowledged()
            wait_until(lambda: load.acknowledged() > before + 20, what="load afterwards")
        assert load.refusals()
        running.wait_until_stored()
        check(load, running)
        assert [one.stop() for one in (running.gateway, *running.consumers)] == [0, 0]


def test_nothing_acknowledged_is_lost_with_the_leader(engine: ClickHouse, tmp_path: Path) -> None:
    """Of three brokers that hold everything, the leader of a partition is killed: every 202 is in
    the table, and the load goes on with another leader.
    """
    with (
        cluster(tmp_path / "brokers") as members,
        services(
            tmp_path / "services",
            ",".join(member.bootstrap_servers for member in members),
            engine.url,
            replication_factor=3,
            min_insync_replicas=2,
        ) as running,
    ):
        running.start()
        with Once(running, bulk=sized(100, 1000)) as load:
            wait_until(lambda: load.acknowledged() > 20, what="load")
            members[run(lambda: leader(running)) - 1].kill()
            before = load.acknowledged()
            wait_until(lambda: load.acknowledged() > before + 50, within_s=90, what="a new leader")
        running.wait_until_stored()
        check(load, running)


async def leader(running: Services) -> int:
    """The number of the broker that leads the first partition of the events."""
    admin = AIOKafkaAdminClient(**running.kafka.client_options())
    await admin.start()
    try:
        (described,) = await admin.describe_topics([running.kafka.events_topic])
    finally:
        await admin.close()
    return next(one["leader"] for one in described["partitions"] if one["partition"] == 0)


def until_ready(running: Services, status: int) -> None:
    """Wait until the gateway's /readyz answers so."""
    url = f"{running.gateway_url}/readyz"
    wait_until(lambda: running.get_status(url) == status, within_s=60, what=f"/readyz {status}")
