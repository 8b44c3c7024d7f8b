"""A consumer group of Kafka, as a `consumer.source.Source`."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, KafkaTimeoutError

from consumer.errors import MustStop, Revoked, Unavailable
from consumer.kafka.records import Fetched, Reader
from consumer.kafka.settings import GroupSettings
from consumer.kafka.topics import check_topics, unreachable
from consumer.offsets import Position, position_of_commit, where_to_start
from consumer.source import Assignment
from consumer.waiting import until
from schemas.kafka import KafkaSettings
from schemas.record import LogRecord

_log = logging.getLogger(__name__)

_REQUEST_TIMEOUT_S: Final = 10.0
_RETRY_S: Final = 1.0
# Longer than any drain: Kafka waits this long for a consumer that finishes what it holds.
_REBALANCE_TIMEOUT_S: Final = 60


class KafkaSource(ConsumerRebalanceListener):  # type: ignore[misc]
    """A `Source` over a Kafka consumer group.

    Membership is dynamic, so that a consumer that leaves is missed at once. When the group
    rebalances, it waits until `release` says that what was held is stored and committed; then
    every partition is given out anew. Nothing is fetched ahead but what Kafka's client buffers,
    one answer a partition, so a consumer that does not fetch needs no pausing.
    """

    def __init__(self, settings: KafkaSettings, group: GroupSettings) -> None:
        self._settings = settings
        self._group = group
        self._consumer: AIOKafkaConsumer | None = None
        self._assigned: deque[tuple[Assignment, set[TopicPartition]]] = deque()
        self._news = asyncio.Event()  # there is something in it
        self._latest: Assignment | None = None
        self._current: Assignment | None = None  # until it is released
        self._released = asyncio.Event()
        self._reader = Reader()
        self._fetched = Fetched()

    @property
    def topic(self) -> str:
        """See `Source.topic`."""
        return self._settings.events_topic

    async def open(self) -> None:
        """See `Source.open`. Waits for as long as Kafka can't be reached."""
        while self._consumer is None:
            try:
                await check_topics(self._settings)
                self._consumer = await self._join()
            except (KafkaError, OSError, Unavailable) as error:  # a TimeoutError is an OSError
                away = unreachable(self._settings, error)
                _log.warning("%s; again in %g s", away, _RETRY_S)
                await asyncio.sleep(_RETRY_S)

    async def next_assignment(self) -> Assignment:
        """See `Source.next_assignment`."""
        while True:
            assignment, partitions = await self._wait_for_partitions()
            self._current = assignment  # a late release() may have taken it for the one before
            self._released.clear()
            self._fetched, self._reader = Fetched(), Reader()
            try:
                await self._prepare(assignment, partitions)
            except IllegalStateError:
                assignment.ended.set()  # given away again meanwhile
            if not assignment.ended.is_set():
                _log.info("reading partitions %s", sorted(one.partition for one in partitions))
                return assignment
            self.release()

    async def fetch(self, *, max_records: int, max_bytes: int, timeout_s: float) -> list[LogRecord]:
        """See `Source.fetch`. Raises MustStop for what Kafka says will not change."""
        if self._current is None or self._current.ended.is_set():
            await asyncio.sleep(0)  # whoever asks again and again must let others run
            return []
        timeout_ms = int(timeout_s * 1000)
        while not self._fetched.reaches(max_records, max_bytes):
            before = len(self._fetched)
            try:
                await self._get(timeout_ms, self._fetched.bite(max_records))
            except Unavailable:
                if not before:
                    raise
            if len(self._fetched) == before:
                break
            timeout_ms = 0
        return self._fetched.take(max_records, max_bytes)

    async def commit(self, positions: Mapping[int, Position]) -> None:
        """See `Source.commit`."""
        assert self._consumer is not None, "open() comes first"
        offsets = {
            TopicPartition(self.topic, partition): (position.next_offset, position.metadata())
            for partition, position in positions.items()
        }
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            raise Revoked(str(error)) from error
        except (KafkaError, TimeoutError) as error:
            raise Unavailable(f"Kafka did not take the commit: {error!r}") from error

    def release(self) -> None:
        """See `Source.release`."""
        self._current = None
        self._released.set()

    async def close(self) -> None:
        """See `Source.close`."""
        self.release()
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        # In a task: with Kafka away the client's own tasks end it with their cancellation.
        stopping = asyncio.create_task(consumer.stop())
        await asyncio.wait((stopping,), timeout=_REQUEST_TIMEOUT_S)
        if not stopping.done() or stopping.cancelled() or stopping.exception():
            stopping.cancel()
            _log.warning("the group could not be left cleanly: Kafka does not answer")

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Take what the group gave us; Kafka's client calls it."""
        self._released.clear()
        self._latest = self._current = Assignment({})
        self._assigned.append((self._current, set(assigned)))
        self._news.set()

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Give everything back: end the assignment and wait until nothing of it is held. Kafka's
        client calls it, and the group waits for it.
        """
        if self._latest is not None:
            self._latest.ended.set()  # even if nobody has asked for it yet
        if self._current is None:
            return
        try:
            async with asyncio.timeout(_REBALANCE_TIMEOUT_S):
                await self._released.wait()
        except TimeoutError:
            _log.error("partitions are given back while records of them are still held")

    async def answers(self) -> bool:
        """Whether Kafka answers on the connections that this source has."""
        if self._consumer is None:
            return True  # `open` goes on trying, each time with connections of their own
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                return bool(await self._consumer.topics())
        except (KafkaError, OSError):  # a TimeoutError is an OSError
            return False

    async def _join(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **self._settings.client_options(),
            **self._group.consumer_options(),
            group_id=self._settings.group,
            rebalance_timeout_ms=_REBALANCE_TIMEOUT_S * 1000,
        )
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                await consumer.start()
        except BaseException:
            with suppress(KafkaError, OSError):
                await consumer.stop()
            raise
        consumer.subscribe([self.topic], listener=self)
        return consumer

    async def _wait_for_partitions(self) -> tuple[Assignment, set[TopicPartition]]:
        """Wait for the group, and hear of what goes wrong in it, which only a fetch tells."""
        while not self._assigned:
            try:
                # Records come again: the position is not set yet.
                await until(self._news, self._ask(timeout_ms=1000, max_records=1))
            except Unavailable as error:
                _log.warning("%s", error)
                await asyncio.sleep(_RETRY_S)
        self._news.clear()
        return self._assigned.popleft()

    async def _prepare(self, assignment: Assignment, partitions: set[TopicPartition]) -> None:
        """Go to the commits, however long Kafka does not tell them, unless the assignment ends."""
        while not assignment.ended.is_set():
            try:
                async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                    going = self._go_to_commits(partitions)
                    assignment.positions = await until(assignment.ended, going) or {}
                return
            except IllegalStateError:
                raise
            except (KafkaError, OSError, TimeoutError, Unavailable) as error:
                why = str(error) or type(error).__name__
                _log.warning("the group's commits can't be read, trying again: %s", why)
                await asyncio.sleep(_RETRY_S)

    async def _go_to_commits(self, partitions: set[TopicPartition]) -> dict[int, Position]:
        """Read the commits with what was written beside them, and go on from there."""
        assert self._consumer is not None, "open() comes first"
        admin = AIOKafkaAdminClient(**self._settings.client_options())
        try:
            await admin.start()
            commits = await admin.list_consumer_group_offsets(
                self._settings.group, partitions=list(partitions)
            )
        finally:
            await admin.close()
        bounds = await asyncio.gather(*(self._bounds(one) for one in partitions))
        positions: dict[int, Position] = {}
        for one, (first, end) in zip(partitions, bounds, strict=True):
            if one not in commits:  # the client hides errors: a good answer names every partition
                raise Unavailable("the group's coordinator is not there yet")
            position, complaint = Position(first, 0), ""
            if commits[one].offset >= 0:
                position, complaint = position_of_commit(one.partition, *commits[one])
                if end >= 0:
                    position, another = where_to_start(one.partition, position, first, end)
                    complaint = complaint or another
                positions[one.partition] = position
            if complaint:
                _log.error(complaint)
            if position.next_offset >= 0:
                self._consumer.seek(one, position.next_offset)
                self._reader.expect(one.partition, position.next_offset)
        return positions

    async def _bounds(self, one: TopicPartition) -> tuple[int, int]:
        """Give the first offset and the one after the last; -1 for both if no broker leads the
        partition just now, which must not hold up the others: then Kafka's client finds out.
        """
        assert self._consumer is not None, "open() comes first"
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S / 4):
                first = (await self._consumer.beginning_offsets([one]))[one]
                return first, (await self._consumer.end_offsets([one]))[one]
        except (KafkaError, OSError) as error:  # a TimeoutError is an OSError
            _log.warning("partition %d: its bounds can't be read: %r", one.partition, error)
            return -1, -1

    async def _get(self, timeout_ms: int, max_records: int) -> None:
        """Fetch once; nothing if the assignment ends meanwhile."""
        assignment = self._current
        if assignment is None or assignment.ended.is_set():
            return
        # While the group rebalances Kafka's client answers nothing at all.
        await until(assignment.ended, self._take_in(timeout_ms, max_records))

    async def _take_in(self, timeout_ms: int, max_records: int) -> None:
        """Ask once. What comes is kept at once: a cancellation after that loses nothing."""
        gaps: list[tuple[TopicPartition, int]] = []
        for one, some in (await self._ask(timeout_ms, max_records)).items():
            wanted = self._reader.expect(one.partition, some[-1].offset + 1)
            if some[0].offset < wanted:
                raise MustStop(
                    f"partition {one.partition} went back from offset {wanted} to "
                    f"{some[0].offset}: it lost records; start again to read what it has"
                )
            self._fetched.add(self._reader.read(some))
            if some[0].offset > wanted:
                gaps.append((one, wanted))
        for one, wanted in gaps:  # transactions leave them too
            first, _ = await self._bounds(one)
            _, complaint = where_to_start(one.partition, Position(wanted, 0), first, wanted)
            if complaint:
                _log.error(complaint)

    async def _ask(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        """Ask Kafka's client. Raises Unavailable or MustStop."""
        assert self._consumer is not None, "open() comes first"
        try:
            fetched: dict[TopicPartition, list[Any]] = await self._consumer.getmany(
                timeout_ms=timeout_ms, max_records=max_records
            )
        except KafkaError as error:
            if error.retriable or isinstance(error, KafkaTimeoutError):
                raise Unavailable(f"Kafka: {error}") from error
            raise MustStop(f"Kafka: {error}") from error
        except (ValueError, KeyError, AssertionError) as error:
            at = self._reader.expected()  # partition: offset
            raise MustStop(f"Kafka's client can't read a record behind {at}: {error!r}") from error
        return fetched
