"""More partitions in mid-load: events that were sent before are sent again to another one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.topics.plan import Wanted
from deploy.topics.topics import apply
from ingest_gateway.partitioner import partition_of
from schemas.event import identity_key
from tests.support.clickhouse import ClickHouse
from tests.support.kafka import Kafka
from tests.support.services import Services, run, services
from tests.support.stack import wait_until
from tests.support.topics import read_topic
from tests.support.traffic import Sender, Traffic, assert_equal, sized, table


@pytest.fixture
def running(kafka: Kafka, engine: ClickHouse, tmp_path: Path) -> Iterator[Services]:
    with services(tmp_path / "services", kafka.bootstrap_servers, engine.url) as made:
        made.start(consumers=2)
        yield made


def test_sends_that_move_to_a_new_partition_supersede(running: Services) -> None:
    """From 4 partitions to 8 while events come, a third of them again: of each the last one
    stands, whichever partitions it was in, and nobody had to be restarted.
    """
    sender = Sender(
        running,
        Traffic(seed=3, resent=0.35),
        count=sized(20_000, 200_000),
        events_a_second=sized(2_000, 8_000),
        bulk=sized(100, 500),
    )
    sender.start()
    try:
        wait_until(lambda: sender.acknowledged > sized(4_000, 60_000), within_s=120, what="load")
        running.wait_until_shared_anew(running.consumers, lambda: grow(running))
        marker = sender.acknowledged
        more = marker + sized(8_000, 60_000)
        wait_until(lambda: sender.acknowledged > more, within_s=120, what="load")
        model = sender.finish()
        running.wait_until_stored()
        assert_equal(table(running), model)
    finally:
        sender.abort()
    records = run(lambda: read_topic(running.kafka))
    places: dict[bytes, set[int]] = {}
    for record in records:
        places.setdefault(record.key, set()).add(record.partition)
    moved = [key for key, partitions in places.items() if len(partitions) == 2]
    assert len(moved) > 100, "the test proves nothing unless many IDs moved"
    for key in moved:
        assert places[key] == {partition_of(key, 4), partition_of(key, 8)}
    assert {identity_key(running.tenant, event_id) for event_id in model} == places.keys()


def grow(running: Services) -> None:
    run(lambda: apply(running.kafka, Wanted(partitions=8)))
