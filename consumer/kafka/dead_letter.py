"""The dead-letter topic of Kafka, as a `consumer.dead_letter.DeadLetters`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from consumer.errors import MustStop, Unavailable
from schemas.dead_letters import DeadLetter, encode_letter
from schemas.kafka import KafkaSettings

_TIMEOUT_S: Final = 10.0
_CLOSE_S: Final = 3.0
_AT_ONCE: Final = 500
_LETTER_BYTES: Final = 4 * 1024 * 1024  # as the topic takes them: schemas.topics


class KafkaDeadLetters:
    """Appends letters with ``acks=all``. Connects at the first one: most consumers never need to.

    The producer is not idempotent: it must give up in time, and a letter that is written twice is
    still one, since its key is its origin.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None

    async def append(self, letters: Sequence[DeadLetter]) -> None:
        """See `DeadLetters.append`."""
        try:
            async with asyncio.timeout(2 * _TIMEOUT_S):
                producer = await self._connected()
                for start in range(0, len(letters), _AT_ONCE):
                    await self._send(producer, letters[start : start + _AT_ONCE])
        except TimeoutError:
            raise Unavailable("Kafka did not take the dead letters in time") from None
        except (KafkaError, OSError) as error:
            topic = self._settings.dead_letters_topic
            may_pass = isinstance(error, (OSError, KafkaTimeoutError)) or error.retriable
            if not may_pass:
                raise MustStop(f"the dead-letter topic {topic} refuses: {error}") from error
            raise Unavailable(f"the dead-letter topic {topic} can't be written: {error}") from error

    async def close(self) -> None:
        """Disconnect. May be called twice."""
        producer, self._producer = self._producer, None
        if producer is not None:
            # It holds nothing any more that `append` has not given up or heard of.
            with suppress(KafkaError, OSError):  # a TimeoutError is an OSError
                async with asyncio.timeout(_CLOSE_S):
                    await producer.stop()

    async def _send(self, producer: AIOKafkaProducer, letters: Sequence[DeadLetter]) -> None:
        sending = []
        for letter in letters:
            key, value, headers = encode_letter(letter)
            topic = self._settings.dead_letters_topic
            sending.append(await producer.send(topic, value, key=key, headers=headers))
        await asyncio.gather(*sending)

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._settings.client_options(),
                acks="all",
                compression_type="zstd",
                max_request_size=_LETTER_BYTES,
                request_timeout_ms=int(_TIMEOUT_S * 1000),
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer
