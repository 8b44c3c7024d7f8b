"""Consumers come, go, die and rise again in mid-load, and the table equals a dictionary."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clickhouse import ClickHouse
from tests.support.kafka import Kafka
from tests.support.services import Services, services
from tests.support.stack import wait_until
from tests.support.traffic import Sender, Traffic, assert_equal, sized, table


@pytest.fixture
def running(kafka: Kafka, engine: ClickHouse, tmp_path: Path) -> Iterator[Services]:
    with services(tmp_path / "services", kafka.bootstrap_servers, engine.url) as made:
        made.env["TALLY_CONSUMER_SESSION_TIMEOUT_MS"] = "6000"
        made.start(consumers=0)
        yield made


@pytest.fixture
def sender(running: Services) -> Iterator[Sender]:
    sending = Sender(
        running,
        Traffic(seed=1),
        count=sized(30_000, 500_000),
        events_a_second=sized(2_000, 8_000),
        bulk=sized(100, 500),
    )
    sending.start()
    yield sending
    sending.abort()


def test_consumers_come_go_die_and_rise(running: Services, sender: Sender) -> None:
    """One, two, four consumers; one is killed; one is frozen until the group has given its
    partitions away, and goes on with what it held; then one alone. Of every event the last
    acknowledged send stands, all fields, and nothing else.
    """
    first = running.add_consumer()
    running.wait_until_reading(first)
    wait_until(lambda: sender.acknowledged > 2_000, what="load")
    running.wait_until_shared_anew([first], running.add_consumer)
    second = running.consumers[1]
    running.wait_until_shared_anew([first, second], lambda: add_two(running))
    third, fourth = running.consumers[2:]
    for one in (third, fourth):
        running.wait_until_reading(one)

    running.wait_until_shared_anew([first, second, fourth], third.kill)
    running.wait_until_shared_anew([first, second], lambda: fourth.signal(signal.SIGSTOP))
    running.wait_until_shared_anew([first, second], lambda: fourth.signal(signal.SIGCONT))
    running.wait_until_reading(fourth, 2)
    assert "what is held is dropped" in fourth.output()

    assert [second.stop(), fourth.stop()] == [0, 0]
    model = sender.finish()
    running.wait_until_stored()
    assert_equal(table(running), model)
    assert first.stop() == 0


def test_a_rebalance_in_mid_batch_loses_and_doubles_nothing(running: Services) -> None:
    """Batches that are held for two seconds while consumers join and leave all the time, some of
    them without a goodbye.
    """
    settings = {"TALLY_CONSUMER_MAX_BATCH_AGE_MS": "2000"}
    first = running.add_consumer(**settings)
    running.wait_until_reading(first)
    sending = Sender(running, Traffic(seed=2), count=5_000, events_a_second=2_000, bulk=50)
    sending.start()
    try:
        for turn in range(sized(3, 10)):
            running.wait_until_shared_anew([first], lambda: running.add_consumer(**settings))
            joined = running.consumers[-1]
            running.wait_until_reading(joined)
            if turn % 3 == 1:
                running.wait_until_shared_anew([first], joined.kill)
            else:
                assert joined.stop() == 0
        model = sending.finish()
        running.wait_until_stored()
        assert_equal(table(running), model)
    finally:
        sending.abort()


def add_two(running: Services) -> None:
    """Add two consumers; the second collects for so long that it holds something at any time."""
    running.add_consumer()
    running.add_consumer(TALLY_CONSUMER_MAX_BATCH_AGE_MS="2000")
