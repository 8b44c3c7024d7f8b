"""What every `Source` does, the embedded log's and Kafka's alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

import pytest

from consumer.kafka.settings import GroupSettings
from consumer.kafka.source import KafkaSource
from consumer.offsets import Position
from consumer.source import Source
from deploy.embedded.log.events import SqliteEventLog
from deploy.embedded.log.source import SqliteSource
from ingest_gateway.log import EventLog, KafkaEventLog
from schemas.record import LogRecord, Record
from tests.support.kafka import Kafka
from tests.support.topics import new_topics

WITHIN_S = 30.0  # on a machine that is busy with other tests


class Topic(Protocol):
    """A topic, what appends to it, and consumers of it, one after the other."""

    log: EventLog

    def new_source(self) -> Source: ...


class Embedded:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.log = SqliteEventLog(directory)

    def new_source(self) -> Source:
        return SqliteSource(self._directory)


class OnKafka:
    def __init__(self, log: KafkaEventLog, new_source: Callable[[], Source]) -> None:
        self.log = log
        self.new_source = new_source


@pytest.fixture(params=["embedded", "kafka"])
async def topic(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Topic]:
    if request.param == "embedded":
        embedded = Embedded(tmp_path)
        yield embedded
        await embedded.log.close()
        return
    running: Kafka = request.getfixturevalue("kafka")
    settings = await new_topics(running.bootstrap_servers)
    log = KafkaEventLog(settings)
    await log.open()
    yield OnKafka(log, lambda: KafkaSource(settings, GroupSettings()))
    await log.close()


@pytest.fixture
async def source(topic: Topic) -> AsyncIterator[Source]:
    """A consumer that has been given its partitions."""
    opened = topic.new_source()
    await opened.open()
    async with asyncio.timeout(WITHIN_S):
        await opened.next_assignment()
    yield opened
    await opened.close()


def record(key: str, number: int, size_bytes: int = 0) -> Record:
    return Record(f"t\0{key}".encode(), b"%d" % number + b" " * size_bytes, {"h": b"%d" % number})


async def append(topic: Topic, *records: Record) -> None:
    await topic.log.append(records, timeout_s=WITHIN_S)


async def fetch(
    source: Source, count: int, *, max_records: int = 1000, max_bytes: int = 1 << 20
) -> list[LogRecord]:
    """Fetch until so many records came."""
    found: list[LogRecord] = []
    async with asyncio.timeout(WITHIN_S):
        while len(found) < count:
            some = await source.fetch(max_records=max_records, max_bytes=max_bytes, timeout_s=0.2)
            assert len(some) <= max_records
            found += some
    return found


def numbers(records: list[LogRecord]) -> list[int]:
    return [int(one.value) for one in records]


async def nothing_more(source: Source) -> None:
    assert await source.fetch(max_records=10, max_bytes=1 << 20, timeout_s=0.1) == []


async def test_records_come_once_and_in_order(topic: Topic, source: Source) -> None:
    """In bites of any size, each partition's in order and whole: key, value, headers, a time."""
    sent = [record(f"k{n % 7}", n) for n in range(500)]
    await append(topic, *sent)
    found = await fetch(source, 100, max_records=8)
    found += await fetch(source, 500 - len(found), max_records=150)
    await nothing_more(source)
    assert sorted(numbers(found)) == list(range(500))
    for partition in {one.partition for one in found}:
        some = [one for one in found if one.partition == partition]
        assert [one.offset for one in some] == list(range(len(some)))
    for one in found:
        assert (one.key, one.value, dict(one.headers)) == sent[int(one.value)]
        assert one.append_ms > 1_700_000_000_000


async def test_a_fetch_is_bounded_in_bytes(topic: Topic, source: Source) -> None:
    """It goes over its limit by a record a partition at most, and one that is larger than the
    limit comes too.
    """
    await append(topic, *(record("k", n, 10_000) for n in range(40)))
    found: list[LogRecord] = []
    async with asyncio.timeout(WITHIN_S):
        while len(found) < 30:
            some = await source.fetch(max_records=1000, max_bytes=50_000, timeout_s=0.2)
            assert sum(len(one.value) for one in some) <= 50_000 + 10_010
            found += some
    found += await fetch(source, 40 - len(found), max_bytes=1)
    assert numbers(found) == list(range(40))


async def test_fetch_wakes_for_a_new_record(topic: Topic, source: Source) -> None:
    """A fetch that waits sees an append long before its time is up."""
    fetching = asyncio.create_task(source.fetch(max_records=10, max_bytes=1 << 20, timeout_s=300))
    await asyncio.sleep(0.2)
    await append(topic, record("k", 1))
    async with asyncio.timeout(WITHIN_S):
        assert numbers(await fetching) == [1]


async def test_a_cancelled_fetch_loses_nothing(topic: Topic, source: Source) -> None:
    """Given up at any moment, the next one goes on where it was."""
    await append(topic, *(record("k", n, 100) for n in range(5_000)))
    found: list[int] = []
    async with asyncio.timeout(2 * WITHIN_S):
        for turns in range(100_000):
            fetching = asyncio.create_task(
                source.fetch(max_records=3_000, max_bytes=1 << 20, timeout_s=0.05)
            )
            for _ in range(turns % 60):
                await asyncio.sleep(0)
            fetching.cancel()
            await asyncio.wait((fetching,))
            if not fetching.cancelled():
                found += numbers(fetching.result())
            if turns % 100 == 99:
                found += numbers(
                    await source.fetch(max_records=700, max_bytes=1 << 20, timeout_s=0.2)
                )
            if len(found) >= 5_000:
                break
    assert found == list(range(5_000))


async def test_a_commit_is_where_the_next_consumer_begins(topic: Topic, source: Source) -> None:
    """Offset and version come back; what came after is read again, the rest is not."""
    await append(topic, *(record("k", n) for n in range(10)))
    found = await fetch(source, 10)
    partition = found[0].partition
    await source.commit({partition: Position(4, 77 << 20)})
    await source.close()
    again = topic.new_source()
    await again.open()
    async with asyncio.timeout(WITHIN_S):
        assignment = await again.next_assignment()
    assert assignment.positions == {partition: Position(4, 77 << 20)}
    assert not assignment.ended.is_set()
    assert numbers(await fetch(again, 6)) == [4, 5, 6, 7, 8, 9]
    await nothing_more(again)
    await again.close()


async def test_without_a_commit_everything_comes_again(topic: Topic, source: Source) -> None:
    """A partition nobody committed begins at its first record, with no position."""
    await append(topic, *(record("k", n) for n in range(10)))
    await fetch(source, 10)
    await source.close()
    again = topic.new_source()
    await again.open()
    async with asyncio.timeout(WITHIN_S):
        assert (await again.next_assignment()).positions == {}
    assert numbers(await fetch(again, 10)) == list(range(10))
    await again.close()


async def test_close_may_be_repeated(topic: Topic, source: Source) -> None:
    """Also before anything was opened."""
    await source.close()
    await source.close()
    never_opened = topic.new_source()
    await never_opened.close()


async def test_waiting_for_partitions_may_be_given_up(topic: Topic) -> None:
    """A stop while nothing was given yet leaves nothing behind, and the next consumer gets all."""
    first = topic.new_source()
    await first.open()
    waiting: asyncio.Task[object] = asyncio.create_task(_forever(first.next_assignment))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.wait((waiting,))
    await first.close()
    second = topic.new_source()
    await second.open()
    await append(topic, record("k", 1))
    async with asyncio.timeout(WITHIN_S):
        await second.next_assignment()
    assert numbers(await fetch(second, 1)) == [1]
    await second.close()


async def _forever(wait: Callable[[], Awaitable[object]]) -> None:
    while True:
        await wait()
