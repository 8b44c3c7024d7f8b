"""The compacted topic of API keys in Kafka, as a `deploy.keys_topic.KeysTopic`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from deploy.keys_topic import KeysUnavailable
from deploy.topics.outcome import TopicsError
from deploy.topics.topics import verify
from schemas.kafka import KafkaSettings
from schemas.key_uses import decode_use, is_use
from schemas.keys import KeyRecord, decode_key, encode_key, record_key, standing

_log = logging.getLogger(__name__)

_TIMEOUT_S: Final = 10.0
_POLL_MS: Final = 500


class _Topic(NamedTuple):
    """All that the topic holds: each key's record as it stands, in the order of appending, and the
    Unix time of each key's last use.
    """

    keys: dict[str, KeyRecord]
    used_s: dict[str, float]

    def take_in(self, record: ConsumerRecord) -> None:
        if record.value is None:
            self.keys.pop((record.key or b"").decode(errors="replace"), None)
            return
        try:
            if is_use(record.key):
                used_id, used_s = decode_use(record.value)
                self.used_s[used_id] = max(used_s, self.used_s.get(used_id, used_s))
            else:
                key = decode_key(record.value)
                # Taken out, since the order is that of the last record.
                self.keys[key.key_id] = standing(self.keys.pop(key.key_id, None), key)
        except ValueError as error:
            # One that nobody can read opens nothing; the others must not suffer for it.
            _log.error("the API key at offset %d is left out: %s", record.offset, error)


class KafkaKeys:
    """Appends with ``acks=all``; reads from the beginning to the end.

    The producer is not idempotent: it must give up in time, and a record that is written twice is
    still one, since its key is the key's ID.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._partition = TopicPartition(settings.keys_topic, 0)

    async def append(self, record: KeyRecord) -> KeyRecord:
        """See `KeysTopic.append`. What was appended is read back."""
        await self._check_topic()
        try:
            async with asyncio.timeout(_TIMEOUT_S), self._producer() as producer:
                await producer.send_and_wait(
                    self._partition.topic,
                    key=record_key(record),
                    value=encode_key(record),
                    partition=self._partition.partition,
                )
        except (KafkaError, OSError, TimeoutError) as error:
            raise KeysUnavailable(
                f"Kafka has not confirmed {record.key_id}, and may have it or not "
                f"('tally keys list' tells): {_why(error)}"
            ) from error
        stands = (await self._read_to_the_end()).keys.get(record.key_id)
        # A revoked key is one, whatever was appended to it before or after.
        if stands is None or (stands.revoked_at is None and stands != record):
            raise KeysUnavailable(
                f"{record.key_id} was appended to {self._partition.topic} and is not in it: "
                "another program writes or cleans the topic"
            )
        return stands

    async def read(self) -> list[KeyRecord]:
        """See `KeysTopic.read`."""
        await self._check_topic()
        return list((await self._read_to_the_end()).keys.values())

    async def last_uses(self) -> dict[str, float]:
        """See `KeysTopic.last_uses`."""
        return (await self._read_to_the_end()).used_s

    async def _check_topic(self) -> None:
        """Find what would lose keys, before one is promised: Kafka makes a missing topic, or
        keeps one that is not compacted for a week.
        """
        try:
            verdict = await verify(self._settings)
        except TopicsError as error:
            raise KeysUnavailable(str(error)) from error
        topic = self._partition.topic
        wrong = [str(one) for one in verdict.problems if one.breaks and one.topic == topic]
        if wrong:
            raise KeysUnavailable("; ".join(wrong))

    async def _read_to_the_end(self) -> _Topic:
        found = _Topic({}, {})
        try:
            async with asyncio.timeout(_TIMEOUT_S), self._consumer() as consumer:
                consumer.assign([self._partition])
                end = (await consumer.end_offsets([self._partition]))[self._partition]
                await consumer.seek_to_beginning(self._partition)
                while await consumer.position(self._partition) < end:
                    fetched = await consumer.getmany(timeout_ms=_POLL_MS)
                    for record in fetched.get(self._partition, ()):
                        found.take_in(record)
        except (KafkaError, OSError, TimeoutError) as error:
            raise KeysUnavailable(
                f"the API keys in {self._partition.topic} can't be read: {_why(error)}"
            ) from error
        return found

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(
            **self._settings.client_options(),
            acks="all",
            request_timeout_ms=int(_TIMEOUT_S * 1000),
        )
        try:
            await producer.start()
            yield producer
        finally:
            await producer.stop()

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            **self._settings.client_options(), auto_offset_reset="earliest", group_id=None
        )
        try:
            await consumer.start()
            yield consumer
        finally:
            await consumer.stop()


def _why(error: Exception) -> str:
    return str(error) or f"no answer within {_TIMEOUT_S:g} s"
