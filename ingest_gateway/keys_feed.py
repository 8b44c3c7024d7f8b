"""API keys out of Kafka: the whole topic before the first request, then whatever comes.

Gateway and query service know nothing of each other, so each has this file; a test holds them
equal.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.kafka import KafkaSettings
from schemas.keys import KeyRing, KeysUnreachable, decode_key

_log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S: Final = 10.0
_STOP_TIMEOUT_S: Final = 3.0
_POLL_MS: Final = 500
_RETRY_S: Final = 1.0


class KafkaKeysFeed:
    """Fills a ring from the compacted topic of keys, and keeps it up to date until closed.

    While Kafka is away the ring keeps what it knows.
    """

    def __init__(self, settings: KafkaSettings, ring: KeyRing) -> None:
        self._settings = settings
        self._ring = ring
        self._partition = TopicPartition(settings.keys_topic, 0)
        self._consumer: AIOKafkaConsumer | None = None
        self._following: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Read everything there is, then follow. Raises `KeysUnreachable`; may be called again."""
        try:
            consumer = AIOKafkaConsumer(
                **self._settings.client_options(), auto_offset_reset="earliest", group_id=None
            )
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                    await self._read_all(consumer)
            except BaseException:
                await _stop(consumer)
                raise
        except (KafkaError, LookupError, OSError) as error:  # a TimeoutError is an OSError
            why = str(error) or type(error).__name__
            raise KeysUnreachable(
                f"the API keys in {self._partition.topic} at TALLY_KAFKA_BOOTSTRAP_SERVERS="
                f"{self._settings.bootstrap_servers} can't be read: {why}"
            ) from error
        self._ring.is_complete = True
        self._consumer = consumer
        self._following = asyncio.create_task(self._follow(consumer))

    async def answers(self) -> bool:
        """Whether Kafka answers on the connections that this feed has."""
        if self._consumer is None:
            return True  # `open` is tried again, each time with connections of their own
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                return bool(await self._consumer.topics())
        except (KafkaError, OSError):  # a TimeoutError is an OSError
            return False

    async def close(self) -> None:
        """Stop following. May be called twice."""
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await _stop(consumer)

    async def _read_all(self, consumer: AIOKafkaConsumer) -> None:
        await consumer.start()
        if self._partition.topic not in await consumer.topics():  # asked by name, Kafka may make it
            raise LookupError("the topic is not there: run 'tally topics apply'")
        consumer.assign([self._partition])
        end = (await consumer.end_offsets([self._partition]))[self._partition]
        if consumer.partitions_for_topic(self._partition.topic) != {0}:
            raise LookupError("the topic has several partitions: see 'tally topics verify'")
        await consumer.seek_to_beginning(self._partition)
        while await consumer.position(self._partition) < end:
            await self._take_in(consumer)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                await self._take_in(consumer)
            except Exception as error:  # whatever it is: a key that is revoked must be heard of
                is_known = isinstance(error, KafkaError)
                text = "the API keys can't be read, going on with those known: %s"
                _log.warning(text, error, exc_info=not is_known)
                await asyncio.sleep(_RETRY_S)

    async def _take_in(self, consumer: AIOKafkaConsumer) -> None:
        fetched = await consumer.getmany(timeout_ms=_POLL_MS)
        for records in fetched.values():
            for record in records:
                if record.value is None:
                    continue
                try:
                    self._ring.apply(decode_key(record.value))
                except ValueError as error:
                    # One that nobody can read opens nothing; the others must not suffer for it.
                    _log.error("the API key at offset %d is left out: %s", record.offset, error)


async def _stop(consumer: AIOKafkaConsumer) -> None:
    """Stop it; in a task, since with Kafka away its own tasks end it with their cancellation."""
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait((stopping,), timeout=_STOP_TIMEOUT_S)
    if not stopping.done() or stopping.cancelled() or stopping.exception():
        stopping.cancel()
        _log.warning("Kafka could not be left cleanly: it does not answer")
