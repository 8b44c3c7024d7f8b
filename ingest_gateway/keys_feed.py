"""API keys out of Kafka: the whole topic before the first request, then whatever comes; and into
it, now and then, when each key was last used.

Gateway and query service know nothing of each other, so each has this file; a test holds them
equal.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.kafka import KafkaSettings
from schemas.key_uses import INTERVAL_S, KeyUses, decode_use, encode_use, is_use
from schemas.keys import KeyRing, KeysUnreachable, decode_key

_log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S: Final = 10.0
_STOP_TIMEOUT_S: Final = 3.0
_POLL_MS: Final = 500
_RETRY_S: Final = 1.0
_LOOK_EVERY_S: Final = 5.0  # a first use is told after that, a later one after the interval
_LAST_WORDS_S: Final = 1.0


class KafkaKeysFeed:
    """Fills a ring from the compacted topic of keys, and keeps it up to date until closed.

    While Kafka is away the ring keeps what it knows. A key's last use is told to the topic unless
    it knows of one less than ``uses_interval_s`` before, from whichever process.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        ring: KeyRing,
        *,
        uses_interval_s: float = INTERVAL_S,
        look_every_s: float = _LOOK_EVERY_S,
    ) -> None:
        self._settings = settings
        self._ring = ring
        self._partition = TopicPartition(settings.keys_topic, 0)
        self._consumer: AIOKafkaConsumer | None = None
        self._following: asyncio.Task[None] | None = None
        self._uses = _UsesTeller(settings, ring.uses, uses_interval_s, look_every_s)

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
        self._uses.start()

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
        """Tell the uses that are untold, and stop following. May be called twice."""
        await self._uses.close()
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
                    if is_use(record.key):
                        self._ring.uses.heard(*decode_use(record.value))
                    else:
                        self._ring.apply(decode_key(record.value))
                except ValueError as error:
                    # One that nobody can read opens nothing; the others must not suffer for it.
                    _log.error("the API key at offset %d is left out: %s", record.offset, error)


class _UsesTeller:
    """Appends to the topic which keys were used, in the background. They are a hint: what can't be
    told is said once in the log, and does no harm.
    """

    def __init__(
        self, settings: KafkaSettings, uses: KeyUses, interval_s: float, look_every_s: float
    ) -> None:
        self._settings = settings
        self._uses = uses
        self._interval_s = interval_s
        self._look_every_s = look_every_s
        self._producer: AIOKafkaProducer | None = None
        self._telling: asyncio.Task[None] | None = None
        self._is_failing = False

    def start(self) -> None:
        """Tell what is untold until closed."""
        self._telling = asyncio.create_task(self._keep_telling())

    async def close(self) -> None:
        """Tell the rest, but wait no longer than a moment for it. May be called twice."""
        if self._telling is None:
            return
        self._telling.cancel()
        with suppress(asyncio.CancelledError):
            await self._telling
        self._telling = None
        if not self._is_failing:
            await self._tell(self._uses.untold(1.0), within_s=_LAST_WORDS_S)
        await self._drop_producer()

    async def _keep_telling(self) -> None:
        while True:
            # After a failure there is no hurry: it may be a right that this service has not.
            await asyncio.sleep(self._interval_s if self._is_failing else self._look_every_s)
            await self._tell(self._uses.untold(self._interval_s), within_s=_CONNECT_TIMEOUT_S)

    async def _tell(self, untold: dict[str, float], *, within_s: float) -> None:
        if not untold:
            return
        try:
            async with asyncio.timeout(within_s):
                await self._append(untold)
        except Exception as error:  # whatever it is: the next time may succeed
            if not self._is_failing:
                _log.warning(
                    "when API keys were last used can't be written to %s, going on without: %s",
                    self._settings.keys_topic,
                    str(error) or type(error).__name__,
                    exc_info=not isinstance(error, (KafkaError, OSError)),
                )
            self._is_failing = True
            await self._drop_producer()
        else:
            self._is_failing = False

    async def _append(self, untold: dict[str, float]) -> None:
        if self._producer is None:
            self._producer = AIOKafkaProducer(**self._settings.client_options(), acks="all")
            await self._producer.start()
        appended: list[asyncio.Future[object]] = []
        try:
            for key_id, used_s in untold.items():
                key, value = encode_use(key_id, used_s)
                topic = self._settings.keys_topic
                appended.append(await self._producer.send(topic, value, key=key, partition=0))
            await asyncio.gather(*appended)
        finally:
            for one in appended:  # those that nobody waits for must not complain when they fail
                one.cancel()
        for key_id, used_s in untold.items():
            self._uses.heard(key_id, used_s)

    async def _drop_producer(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await _stop(producer)


async def _stop(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Stop it; in a task, since with Kafka away its own tasks end it with their cancellation."""
    stopping = asyncio.create_task(client.stop())
    await asyncio.wait((stopping,), timeout=_STOP_TIMEOUT_S)
    if not stopping.done() or stopping.cancelled() or stopping.exception():
        stopping.cancel()
        _log.warning("Kafka could not be left cleanly: it does not answer")
