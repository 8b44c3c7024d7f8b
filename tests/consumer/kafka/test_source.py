"""A consumer group of several: who reads what, and what happens when that changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from consumer.errors import MustStop, Revoked
from consumer.kafka.records import Fetched
from consumer.kafka.settings import GroupSettings
from consumer.kafka.source import KafkaSource
from consumer.offsets import Position
from consumer.source import Assignment
from schemas.kafka import KafkaSettings
from schemas.record import NO_APPEND_TIME, LogRecord
from tests.support.kafka import Kafka
from tests.support.topics import configure, new_topics

WITHIN_S = 30.0
# A member that does not say goodbye is missed only after this; leaving must be much faster.
PATIENT = GroupSettings(session_timeout_ms=20_000)
PARTITIONS = {0, 1, 2, 3}


@pytest.fixture
async def settings(kafka: Kafka) -> KafkaSettings:
    return await new_topics(kafka.bootstrap_servers, partitions=len(PARTITIONS))


class Member:
    """A source in the group, and the task that waits for its partitions."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.source = KafkaSource(settings, PATIENT)
        self.waiting: asyncio.Task[Assignment] | None = None

    def ask(self) -> None:
        """Begin to wait for partitions."""
        self.waiting = asyncio.create_task(self.source.next_assignment())

    async def given(self) -> Assignment:
        """Give what it was given."""
        assert self.waiting is not None
        async with asyncio.timeout(WITHIN_S):
            return await self.waiting

    def partitions(self) -> set[int]:
        """What Kafka says it reads."""
        assert self.source._consumer is not None
        return {one.partition for one in self.source._consumer.assignment()}


@asynccontextmanager
async def joined(settings: KafkaSettings) -> AsyncIterator[Member]:
    member = Member(settings)
    await member.source.open()
    member.ask()
    try:
        yield member
    finally:
        if member.waiting is not None:
            member.waiting.cancel()
            await asyncio.wait((member.waiting,))
        await member.source.close()


async def send(settings: KafkaSettings, partition: int, *values: bytes) -> None:
    async with AIOKafkaProducer(**settings.client_options(), acks="all") as producer:
        for value in values:
            await producer.send_and_wait(
                settings.events_topic, value, key=b"t\0x", partition=partition
            )


async def fetch(source: KafkaSource, count: int) -> list[LogRecord]:
    found: list[LogRecord] = []
    async with asyncio.timeout(WITHIN_S):
        while len(found) < count:
            found += await source.fetch(max_records=100, max_bytes=1 << 20, timeout_s=0.2)
    return found


async def test_one_that_leaves_is_missed_at_once(settings: KafkaSettings) -> None:
    """Whoever joins after a stop gets the partitions long before a session could time out."""
    async with joined(settings) as first:
        await first.given()
        assert first.partitions() == PARTITIONS
    async with joined(settings) as second:
        async with asyncio.timeout(PATIENT.session_timeout_ms / 1000 / 2):
            await second.given()
        assert second.partitions() == PARTITIONS


async def test_two_share_and_neither_begins_before_the_other_released(
    settings: KafkaSettings,
) -> None:
    """When a second one joins, the first hears that its assignment ends; the second gets nothing
    until the first says that it holds nothing more; then each partition has one reader, who goes
    on behind what the first committed last.
    """
    await send(settings, 0, b"a", b"b")
    await send(settings, 3, b"c", b"d")
    async with joined(settings) as first:
        assignment = await first.given()
        assert len(await fetch(first.source, 4)) == 4
        async with joined(settings) as second:
            async with asyncio.timeout(WITHIN_S):
                await assignment.ended.wait()
            assert not second.waiting or not second.waiting.done()
            assert await first.source.fetch(max_records=1, max_bytes=1, timeout_s=0.1) == []
            # What is held may still be committed.
            await first.source.commit({0: Position(1, 10), 3: Position(1, 20)})
            first.source.release()
            first.ask()
            after = await asyncio.gather(first.given(), second.given())
            assert first.partitions() | second.partitions() == PARTITIONS
            assert not first.partitions() & second.partitions()
            positions = {**after[0].positions, **after[1].positions}
            assert positions == {0: Position(1, 10), 3: Position(1, 20)}
            both = await asyncio.gather(fetch(first.source, 1), fetch(second.source, 1))
            assert {one.value for some in both for one in some} == {b"b", b"d"}


async def test_a_commit_for_what_another_has_is_revoked(settings: KafkaSettings) -> None:
    """A consumer can't move the offsets of partitions that it lost."""
    async with joined(settings) as first:
        assignment = await first.given()
        async with joined(settings) as second:
            async with asyncio.timeout(WITHIN_S):
                await assignment.ended.wait()
            first.source.release()
            first.ask()
            await asyncio.gather(first.given(), second.given())
            lost = min(second.partitions())
            with pytest.raises(Revoked):
                await first.source.commit({lost: Position(7, 7)})
            await second.source.commit({lost: Position(0, 5)})


async def test_deleted_records_are_told_and_skipped(
    settings: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Where retention overtook the group it goes on with the first record there is, and says how
    many are lost and what to raise.
    """
    await send(settings, 1, *(b"%d" % number for number in range(10)))
    async with joined(settings) as member:
        await member.given()
        await member.source.commit({1: Position(2, 99)})
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    one = TopicPartition(settings.events_topic, 1)
    await admin.delete_records({one: RecordsToDelete(before_offset=6)})
    await admin.close()
    caplog.set_level(logging.ERROR)
    async with joined(settings) as member:
        assert (await member.given()).positions == {1: Position(6, 99)}
        assert [one.value for one in await fetch(member.source, 4)] == [b"6", b"7", b"8", b"9"]
    assert "offsets 2 to 5 of partition 1 were deleted" in caplog.text


async def test_the_producers_time_has_no_append_time(settings: KafkaSettings) -> None:
    """Records that a producer stamped, since the topic was changed meanwhile, are marked."""
    async with joined(settings) as member:
        await member.given()
        await send(settings, 2, b"good")
        await configure(settings, message_timestamp_type="CreateTime")
        await send(settings, 2, b"bad")
        found = {one.value: one.append_ms for one in await fetch(member.source, 2)}
    assert found[b"good"] > 0
    assert found[b"bad"] == NO_APPEND_TIME


async def test_a_topic_with_the_producers_time_is_refused(settings: KafkaSettings) -> None:
    """The group is not even joined; the text names the setting and what mends it."""
    await configure(settings, message_timestamp_type="CreateTime")
    source = KafkaSource(settings, GroupSettings())
    with pytest.raises(MustStop, match=r"message\.timestamp\.type is CreateTime.*topics apply"):
        await source.open()
    await source.close()


@pytest.mark.unit
def test_what_was_fetched_is_given_in_order_and_within_limits() -> None:
    """By count and by bytes, one at least, nothing twice."""
    fetched = Fetched()
    records = [LogRecord(0, number, 1, b"", b"x" * 10, {}) for number in range(10)]
    fetched.add(records[:6])
    assert not fetched.reaches(7, 61)
    assert fetched.reaches(6, 1000)
    assert fetched.reaches(100, 60)
    assert fetched.take(2, 1000) == records[:2]
    assert fetched.take(100, 25) == records[2:4]
    assert fetched.take(100, 5) == records[4:5]
    fetched.add(records[6:])
    assert len(fetched) == 5
    assert fetched.take(100, 1000) == records[5:]
    assert fetched.take(100, 1000) == []
