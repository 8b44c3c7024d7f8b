"""The dead letters in Kafka, as the command line uses them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.dead_letters.letter_box import LetterBoxError, Moved
from deploy.dead_letters.selection import Selection
from ingest_gateway.errors import BadTopic, NotStored, OutcomeUnknown, TooLarge, Unreachable
from ingest_gateway.log import KafkaEventLog
from schemas.dead_letters import DeadLetter, decode_letter, returning
from schemas.kafka import KafkaSettings

_TIMEOUT_S: Final = 10.0
_APPEND_TIMEOUT_S: Final = 30.0
_POLL_MS: Final = 500
_FETCH_BYTES: Final = 8 * 1024 * 1024  # a letter may be larger than the client's default
# A kill between the two writes of so many makes them letters and events at once, for a while.
_AT_ONCE: Final = 500


class KafkaLetterBox:
    """A `LetterBox` over a compacted topic: the last record of each key counts."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._topic = settings.dead_letters_topic

    async def find(self, selection: Selection) -> list[DeadLetter]:
        """See `LetterBox.find`. Reads the whole topic, keeps what is meant. A record that is no
        letter is left out.
        """
        found: dict[bytes, DeadLetter] = {}
        async with self._reaching(), self._reader() as (consumer, ends):
            for partition, end in ends.items():
                async for record in _records(consumer, partition, end):
                    key = record.key or b""
                    found.pop(key, None)
                    if (letter := _letter(record)) and selection.matches(letter):
                        found[key] = letter
        return sorted(found.values(), key=lambda letter: letter.record.append_ms)

    async def replay(self, letters: Sequence[DeadLetter]) -> Moved:
        """See `LetterBox.replay`. A letter that the log can't take stays a letter."""
        log = KafkaEventLog(self._settings)
        count = 0
        failures: list[str] = []
        try:
            await log.open()
            async with self._reaching(), self._producer() as producer:
                for start in range(0, len(letters), _AT_ONCE):
                    some = letters[start : start + _AT_ONCE]
                    appended, too_large = await _append(log, some)
                    await self._forget(producer, appended)
                    count += len(appended)
                    failures += too_large
        except (BadTopic, NotStored, OutcomeUnknown, Unreachable) as error:
            done = f"{count} of {len(letters)} were replayed, then: " if count else ""
            raise LetterBoxError(f"{done}{error}") from error
        finally:
            await log.close()
        return Moved(count, failures)

    async def drop(self, letters: Sequence[DeadLetter]) -> Moved:
        """See `LetterBox.drop`."""
        async with self._reaching(), self._producer() as producer:
            for start in range(0, len(letters), _AT_ONCE):
                await self._forget(producer, letters[start : start + _AT_ONCE])
        return Moved(len(letters))

    async def _forget(self, producer: AIOKafkaProducer, letters: Sequence[DeadLetter]) -> None:
        """Write a tombstone for each."""
        async with asyncio.timeout(_APPEND_TIMEOUT_S):
            sending = [
                await producer.send(self._topic, None, key=letter.origin.encode())
                for letter in letters
            ]
            await asyncio.gather(*sending)

    @asynccontextmanager
    async def _reader(
        self,
    ) -> AsyncIterator[tuple[AIOKafkaConsumer, dict[TopicPartition, int]]]:
        """Give a consumer at the beginning of every partition, and where each ends now."""
        partitions = await self._partitions()
        consumer = AIOKafkaConsumer(
            **self._settings.client_options(),
            group_id=None,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=_FETCH_BYTES,
        )
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await consumer.start()
                consumer.assign(partitions)
                await consumer.seek_to_beginning(*partitions)
                ends = await consumer.end_offsets(partitions)
            yield consumer, ends
        finally:
            await consumer.stop()

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(
            **self._settings.client_options(),
            acks="all",
            request_timeout_ms=int(_TIMEOUT_S * 1000),
        )
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await producer.start()
            yield producer
        finally:
            await producer.stop()

    async def _partitions(self) -> list[TopicPartition]:
        admin = AIOKafkaAdminClient(**self._settings.client_options())
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await admin.start()
                (topic,) = await admin.describe_topics([self._topic])
        finally:
            await admin.close()
        if not topic["partitions"]:
            raise LetterBoxError(f"there is no topic {self._topic}: run 'tally topics apply'")
        return [TopicPartition(self._topic, one["partition"]) for one in topic["partitions"]]

    @asynccontextmanager
    async def _reaching(self) -> AsyncIterator[None]:
        """Put Kafka's errors in words."""
        try:
            yield
        except (KafkaError, OSError, TimeoutError) as error:  # TimeoutError is an OSError
            why = str(error) or "no answer in time"
            raise LetterBoxError(
                f"the topic {self._topic} at TALLY_KAFKA_BOOTSTRAP_SERVERS="
                f"{self._settings.bootstrap_servers} can't be used: {why}"
            ) from error


async def _append(
    log: KafkaEventLog, letters: Sequence[DeadLetter]
) -> tuple[list[DeadLetter], list[str]]:
    """Append letters; give those that are in the log now, and why others can never be."""
    try:
        await log.append([returning(one) for one in letters], timeout_s=_APPEND_TIMEOUT_S)
        return list(letters), []
    except TooLarge as error:
        if len(letters) == 1:
            return [], [f"{letters[0].origin}: {error}; it can only be dropped"]
    appended: list[DeadLetter] = []
    failures: list[str] = []
    for letter in letters:
        done, failed = await _append(log, [letter])
        appended += done
        failures += failed
    return appended, failures


async def _records(
    consumer: AIOKafkaConsumer, partition: TopicPartition, end: int
) -> AsyncIterator[Any]:
    """Give a partition's records up to ``end``. Raises TimeoutError if it gets no further."""
    reached, since = 0, time.monotonic()
    while (position := await consumer.position(partition)) < end:
        if position > reached:
            reached, since = position, time.monotonic()
        elif time.monotonic() - since > _TIMEOUT_S:
            raise TimeoutError(f"nothing comes from offset {position} of partition {partition}")
        fetched = await consumer.getmany(partition, timeout_ms=_POLL_MS)
        for record in fetched.get(partition, ()):
            yield record


def _letter(record: Any) -> DeadLetter | None:
    """Read a record; None for a tombstone, and for what somebody else wrote there."""
    if record.key is None or record.value is None:
        return None
    try:
        return decode_letter(record.key, record.value, record.headers)
    except ValueError:
        return None
