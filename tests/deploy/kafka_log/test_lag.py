"""How far a consumer group is behind, asked of a real Kafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.kafka_log.lag import LagUnknown, Member, read_group
from schemas.kafka import KafkaSettings
from tests.support.clickhouse import free_port


async def append(settings: KafkaSettings, partition: int, count: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, acks="all")
    await producer.start()
    try:
        for _ in range(count):
            await producer.send_and_wait(settings.events_topic, b"value", partition=partition)
    finally:
        await producer.stop()


@asynccontextmanager
async def member(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer in the group, with every partition assigned."""
    consumer = AIOKafkaConsumer(
        settings.events_topic,
        bootstrap_servers=settings.bootstrap_servers,
        group_id=settings.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            while len(consumer.assignment()) < 2:
                await consumer.getmany(timeout_ms=50)
        yield consumer
    finally:
        await consumer.stop()


async def test_lag_counts_from_the_commit_and_ages_the_oldest(settings: KafkaSettings) -> None:
    """Each partition has its own: records after the commit, and the age of the first of them."""
    group = await read_group(settings)
    assert [(one.partition, one.end_offset, one.records) for one in group.lag] == [
        (0, 0, 0),
        (1, 0, 0),
    ]
    await append(settings, 0, 3)
    oldest_at = time.time()
    await append(settings, 1, 2)
    async with member(settings) as consumer:
        one = TopicPartition(settings.events_topic, 1)
        await consumer.commit({one: (2, "")})
        await asyncio.sleep(1.1)  # there is nothing to wait for: the record has to grow old
        first, second = (await read_group(settings)).lag
    assert (first.end_offset, first.records) == (3, 3)
    assert 1.0 <= first.seconds <= time.time() - oldest_at + 1.0
    assert (second.end_offset, second.records, second.seconds) == (2, 0, 0.0)


async def test_members_are_told_with_their_partitions(settings: KafkaSettings) -> None:
    """A group without members has none; one that runs is told with what it reads."""
    assert (await read_group(settings)).members == []
    async with member(settings):
        assert (await read_group(settings)).members == [Member("127.0.0.1", [0, 1])]
    assert (await read_group(settings)).members == []


async def test_a_missing_topic_is_told(bare: KafkaSettings) -> None:
    """The error says what makes the topics."""
    with pytest.raises(LagUnknown, match="tally topics apply"):
        await read_group(bare)


async def test_a_broker_that_is_away_is_told() -> None:
    """A broker that is down is a state in words."""
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(LagUnknown, match=f"no broker answers .*{address}"):
        await read_group(KafkaSettings(bootstrap_servers=address))
