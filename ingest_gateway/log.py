"""The log that the gateway appends to: the interface, and Kafka's implementation of it.

The embedded log (``deploy/embedded/log``) implements `EventLog` too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextvars import Context
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from ingest_gateway.errors import BadTopic, NotStored, OutcomeUnknown, TooLarge, Unreachable
from ingest_gateway.lane import Append, Lane, Part
from ingest_gateway.partitioner import partition_of
from ingest_gateway.topics import check_topic, unreachable
from schemas.kafka import KafkaSettings
from schemas.record import Record

_log = logging.getLogger(__name__)

# Measured with real events, a thousand in a batch: zstd takes 0.9 us an event and leaves 34 bytes
# of 373; lz4 3.2 us and 45, snappy 0.8 us and 64, gzip 8.4 us and 32.
_COMPRESSION: Final = "zstd"
_MAX_BATCH_BYTES: Final = 900_000  # before compression; brokers take 1 MiB unless told otherwise
_MAX_BATCH_RECORDS: Final = 10_000
_RECORD_OVERHEAD_BYTES: Final = 2_000  # headers, lengths and the batch's own head
_REQUEST_TIMEOUT_MS: Final = 10_000
_WATCH_S: Final = 3.0
_CONNECT_TIMEOUT_S: Final = 10.0
_stopping: Final[set[asyncio.Task[None]]] = set()  # a loop itself keeps no task alive


class EventLog(Protocol):
    """Where accepted events go. One for a process; used by many requests at once."""

    async def append(self, records: Sequence[Record], *, timeout_s: float) -> None:
        """Append the records, in this order for each key; durable when it returns.

        Raises `NotStored` or `OutcomeUnknown`, at the latest when ``timeout_s`` seconds have
        passed. A caller that is cancelled leaves the outcome unknown.
        """
        ...

    def trouble(self) -> str | None:
        """Say in a few words why appending fails just now, or None if it works."""
        ...


class KafkaEventLog:
    """An `EventLog` over Kafka: idempotent, ``acks=all``, a `Lane` for each partition."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._topic = settings.events_topic
        self._producer: AIOKafkaProducer | None = None
        self._lanes: list[Lane] = []
        self._watching: asyncio.Task[None] | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._confirmed_at = 0.0
        self._trouble: str | None = "not connected to Kafka yet"

    async def open(self) -> None:
        """Connect and check the topic.

        Raises `Unreachable`, after which it may be called again, or `BadTopic`, which a person
        must mend first.
        """
        await check_topic(self._settings)
        self._producer = await self._start_producer()
        self._grow()
        self._trouble = None
        self._watching = asyncio.create_task(self._watch())

    async def append(self, records: Sequence[Record], *, timeout_s: float) -> None:
        """See `EventLog.append`. Raises `TooLarge` too, for a record that no batch can hold."""
        if self._producer is None:
            raise NotStored(self._trouble or "not connected to Kafka")
        self._grow()
        by_partition: dict[int, list[Record]] = {}
        for record in records:
            if record.size_bytes > _MAX_BATCH_BYTES - _RECORD_OVERHEAD_BYTES:
                raise TooLarge(f"a record takes {record.size_bytes} bytes")
            partition = partition_of(record.key, len(self._lanes))
            by_partition.setdefault(partition, []).append(record)
        for partition in by_partition:
            stuck_s = self._lanes[partition].unconfirmed_s()
            if stuck_s > timeout_s:
                raise NotStored(f"Kafka has not confirmed a batch for {stuck_s:.0f} s")
        append = Append(len(by_partition))
        for partition, some in by_partition.items():
            self._lanes[partition].put(Part(append, some))
        try:
            async with asyncio.timeout(timeout_s):
                await append.done
        except TimeoutError:
            if append.withdraw():
                raise NotStored(f"Kafka took no records for {timeout_s:g} s") from None
            raise OutcomeUnknown(f"Kafka has not confirmed within {timeout_s:g} s") from None
        except asyncio.CancelledError:
            append.withdraw()
            raise

    def trouble(self) -> str | None:
        """See `EventLog.trouble`. A broker that went away is seen within seconds."""
        return self._trouble

    async def close(self, *, timeout_s: float = 10.0) -> int:
        """Wait until Kafka holds what is on its way, then disconnect.

        Gives how many records were not confirmed within ``timeout_s`` seconds: their outcome is
        unknown. May be called twice.
        """
        for task in (self._watching, self._replacing):
            if task is not None:
                task.cancel()
                await asyncio.wait((task,))
        deadline = time.monotonic() + timeout_s
        if idle := [asyncio.create_task(lane.idle()) for lane in self._lanes]:
            _, waiting = await asyncio.wait(idle, timeout=timeout_s)
            for task in waiting:
                task.cancel()
        unconfirmed = sum(lane.unconfirmed_records for lane in self._lanes)
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer, within_s=max(0.5, deadline - time.monotonic()))
        return unconfirmed

    def batch(self) -> Any:
        """Make an empty batch. Raises `NotStored` while there is no producer."""
        if self._producer is None:
            raise NotStored(self._trouble or "not connected to Kafka")
        return self._producer.create_batch()

    async def send(self, batch: Any, partition: int) -> None:
        """Send a batch to a partition; Kafka holds it when this returns.

        Raises `TooLarge` or `OutcomeUnknown`.
        """
        producer = self._producer
        if producer is None:
            raise NotStored("disconnected from Kafka")
        try:
            confirmed = await producer.send_batch(batch, self._topic, partition=partition)
            await confirmed
            self._confirmed_at = time.monotonic()
        except KafkaError as error:
            # Its sequence numbers have a gap now, and Kafka would refuse all that follows.
            self._replace(producer, error)
            if isinstance(error, MessageSizeTooLargeError):
                raise TooLarge(
                    f"the topic {self._topic} takes no batch of this size: "
                    "its max.message.bytes is too small (tally topics apply)"
                ) from error
            raise OutcomeUnknown(f"Kafka refused a batch: {error}") from error

    def _grow(self) -> None:
        """Have a lane for every partition that the topic has by now; it never has fewer."""
        assert self._producer is not None
        known = self._producer.client.cluster.partitions_for_topic(self._topic) or ()
        for partition in range(len(self._lanes), len(known)):
            batches = _PartitionBatches(self, partition)
            self._lanes.append(Lane(batches, max_records=_MAX_BATCH_RECORDS))

    def _replace(self, producer: AIOKafkaProducer, error: KafkaError) -> None:
        """Put a new producer in the place of one that failed for good."""
        if self._producer is not producer:
            return  # another lane's batch failed with it, too
        _log.error("Kafka refused a batch, the producer is replaced: %s", error)
        self._producer = None
        self._trouble = f"Kafka refused a batch: {error}"
        # In a context of its own: it outlives the request at hand, under whose ID it would log.
        self._replacing = asyncio.create_task(self._reconnect(producer), context=Context())

    async def _reconnect(self, old: AIOKafkaProducer) -> None:
        # Beside: other lanes' batches may hang in it for long. None sends before its own came back.
        stopping = asyncio.create_task(_stop(old, within_s=5.0))
        while self._producer is None:
            try:
                await check_topic(self._settings)
                self._producer = await self._start_producer()
                self._trouble = None
            except Exception as error:  # whatever it is: without a producer nothing is accepted
                self._trouble = str(error) or type(error).__name__
                is_known = isinstance(error, (Unreachable, BadTopic))
                _log.error("no producer: %s", self._trouble, exc_info=not is_known)
                await asyncio.sleep(_WATCH_S)
        await stopping

    async def _watch(self) -> None:
        """Keep `trouble` true to the facts, and the number of partitions up to date."""
        while True:
            await asyncio.sleep(_WATCH_S)
            producer = self._producer
            if producer is None:
                continue  # `_reconnect` says what is wrong
            trouble = await self._find_trouble(producer)
            if trouble and not self._trouble:
                _log.error("events are turned away: %s", trouble)
            elif self._trouble and not trouble:
                _log.info("events are accepted again")
            self._trouble = trouble

    async def _find_trouble(self, producer: AIOKafkaProducer) -> str | None:
        answers = False
        try:
            async with asyncio.timeout(_WATCH_S):
                answers = await producer.client.force_metadata_update()
        except TimeoutError:
            pass
        except Exception:
            _log.exception("Kafka's metadata can't be read")
        # One partition without a leader is no reason to turn away what the others would take.
        quiet_s = time.monotonic() - self._confirmed_at
        stuck_s = min(quiet_s, max(lane.unconfirmed_s() for lane in self._lanes))
        if not answers:
            return f"no answer from {self._settings.bootstrap_servers}"
        if stuck_s > 2 * _WATCH_S:
            return f"Kafka has not confirmed a batch for {stuck_s:.0f} s"
        return None

    async def _start_producer(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._settings.client_options(),
            acks="all",
            enable_idempotence=True,
            compression_type=_COMPRESSION,
            max_batch_size=_MAX_BATCH_BYTES,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await producer.start()
                await producer.partitions_for(self._topic)
        except (KafkaError, OSError, TimeoutError) as error:
            await _stop(producer, within_s=1.0)
            raise unreachable(self._settings, error) from error
        return producer


class _PartitionBatches:
    """The `Batches` of one partition."""

    def __init__(self, log: KafkaEventLog, partition: int) -> None:
        self._log = log
        self._partition = partition

    def fill(self, records: Sequence[Record]) -> tuple[Any, int]:
        """See `Batches.fill`."""
        batch = self._log.batch()
        headers: list[tuple[str, bytes]] = []
        seen: Mapping[str, bytes] | None = None
        for count, record in enumerate(records):
            if record.headers is not seen:  # those of one request share theirs
                seen = record.headers
                headers = list(seen.items())
            taken = batch.append(
                key=record.key, value=record.value, timestamp=None, headers=headers
            )
            if taken is None:
                return batch, count
        return batch, len(records)

    async def send(self, batch: Any) -> None:
        """See `Batches.send`."""
        await self._log.send(batch, self._partition)


async def _stop(producer: AIOKafkaProducer, *, within_s: float) -> None:
    """Stop a producer; one that waits for a frozen broker is left to stop when that goes on."""
    stopping = asyncio.create_task(producer.stop())
    _stopping.add(stopping)
    stopping.add_done_callback(_stopped)
    if not (await asyncio.wait((stopping,), timeout=within_s))[0]:
        _log.warning("a producer has not stopped within %g s: Kafka does not answer", within_s)


def _stopped(stopping: asyncio.Task[None]) -> None:
    _stopping.discard(stopping)
    if not stopping.cancelled() and (error := stopping.exception()):
        _log.warning("a producer did not stop cleanly: %r", error)
