"""How far the consumers are behind, asked of Kafka itself: a dead consumer can't report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaConnectionError,
    KafkaError,
)

from deploy.embedded.log.lag import PartitionLag
from schemas.kafka import KafkaSettings

_TIMEOUT_S: Final = 5.0
_FETCH_BYTES: Final = 64 * 1024  # only the first record is looked at, and it comes however large


class LagUnknown(Exception):  # noqa: N818 (names the condition, not a failure)
    """Kafka can't say how far the consumers are; the text says why."""


class Member(msgspec.Struct, frozen=True):
    """A consumer of the group, where it runs, and the partitions that it reads."""

    host: str
    partitions: list[int]


class GroupState(NamedTuple):
    """The lag of every partition, and the consumers that share them."""

    lag: list[PartitionLag]
    members: list[Member]


async def read_group(settings: KafkaSettings) -> GroupState:
    """Ask Kafka how far the group is, within 5 seconds. Raises `LagUnknown`."""
    try:
        async with (
            asyncio.timeout(_TIMEOUT_S),
            _connected_admin(settings) as admin,
            _connected_consumer(settings) as consumer,
        ):
            partitions = await _partitions(admin, settings.events_topic)
            commits = await _commits(admin, settings.group, partitions)
            lag = await _read_lag(consumer, commits)
            return GroupState(lag, await _members(admin, settings))
    except (KafkaError, OSError, TimeoutError, ValueError) as error:
        where = f"TALLY_KAFKA_BOOTSTRAP_SERVERS={settings.bootstrap_servers}"
        raise LagUnknown(f"{_why(error)} ({where})") from error


async def _partitions(admin: AIOKafkaAdminClient, topic: str) -> list[TopicPartition]:
    # Asked for a topic by name, a broker with auto.create.topics.enable makes it; for all, none.
    for found in await admin.describe_topics():
        if found["topic"] == topic:
            numbers = sorted(one["partition"] for one in found["partitions"])
            return [TopicPartition(topic, number) for number in numbers]
    raise ValueError(f"there is no topic {topic}: run 'tally topics apply'")


async def _commits(
    admin: AIOKafkaAdminClient, group: str, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    """Give the offset that the group reads next, 0 where it never committed."""
    try:
        found = await admin.list_consumer_group_offsets(group, partitions=list(partitions))
    except GroupCoordinatorNotAvailableError:
        found = {}  # Kafka makes the topic of the commits with the first consumer
    # Without a commit, Kafka says -1.
    return {one: max(0, found[one].offset) if one in found else 0 for one in partitions}


async def _read_lag(
    consumer: AIOKafkaConsumer, commits: dict[TopicPartition, int]
) -> list[PartitionLag]:
    first = await consumer.beginning_offsets(list(commits))
    end = await consumer.end_offsets(list(commits))
    # What was deleted before it was read is lost, not behind.
    starts = {one: max(commit, first[one]) for one, commit in commits.items()}
    behind = {one: start for one, start in starts.items() if start < end[one]}
    appended_ms = await _append_times(consumer, behind)
    now = time.time()
    return [
        PartitionLag(
            one.partition,
            end[one],
            max(0, end[one] - start),
            max(0.0, now - appended_ms[one] / 1000) if one in behind else 0.0,
        )
        for one, start in starts.items()
    ]


async def _append_times(
    consumer: AIOKafkaConsumer, offsets: dict[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Give the append time, in ms, of the first record from each of these offsets on."""
    if not offsets:
        return {}
    consumer.assign(list(offsets))
    for one, offset in offsets.items():
        consumer.seek(one, offset)
    found: dict[TopicPartition, int] = {}
    while len(found) < len(offsets):  # the caller's time-out bounds it
        record = await consumer.getone(*(one for one in offsets if one not in found))
        one = TopicPartition(record.topic, record.partition)
        found[one] = record.timestamp
        consumer.pause(one)
    return found


async def _members(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> list[Member]:
    try:
        # Of one group only: aiokafka misreads the answer of several (it asks in version 3 of the
        # protocol and reads version 2, which lacks a field at the end of each group).
        (answer,) = await admin.describe_consumer_groups([settings.group])
    except GroupCoordinatorNotAvailableError:
        return []
    (group,) = answer.to_object()["groups"]
    return sorted(
        (_member(one, settings.events_topic) for one in group["members"]),
        key=lambda member: (member.partitions, member.host),
    )


def _member(answer: dict[str, Any], topic: str) -> Member:
    partitions: list[int] = []
    if raw := answer["member_assignment"]:  # empty while the group shares the partitions out
        assignment = ConsumerProtocolMemberAssignment.decode(raw)
        partitions = sorted(one.partition for one in assignment.partitions() if one.topic == topic)
    return Member(answer["client_host"].lstrip("/"), partitions)


def _why(error: Exception) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {_TIMEOUT_S:g} s"
        case KafkaConnectionError():
            return "no broker answers"
        case _:
            return str(error) or type(error).__name__


@asynccontextmanager
async def _connected_admin(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**settings.client_options())
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def _connected_consumer(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        **settings.client_options(),
        group_id=None,
        auto_offset_reset="earliest",  # where retention deletes what it is about to read
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()
