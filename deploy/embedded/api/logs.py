"""The two logs that the API process runs on, with the keys out of each."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from deploy.embedded.log.events import SqliteEventLog
from deploy.embedded.log.key_uses import UsesWriter
from deploy.embedded.log.keys import KeysFeed
from ingest_gateway.errors import Unreachable
from ingest_gateway.keys_feed import KafkaKeysFeed
from ingest_gateway.log import EventLog, KafkaEventLog
from schemas.kafka import KafkaSettings
from schemas.keys import KeyRing, KeysUnreachable

_log = logging.getLogger(__name__)

_RETRY_S: Final = 1.0


class ApiLog(Protocol):
    """What is appended to, and the ring of the keys that are known."""

    ring: KeyRing

    @property
    def events(self) -> EventLog:
        """Where events go."""
        ...

    async def connect(self) -> None:
        """Return when events are taken and all keys are read; then follow the keys.

        Raises what can't be mended by waiting.
        """
        ...

    async def close(self, *, timeout_s: float) -> None:
        """Wait until what was taken is durable, but not longer than this; then let go."""
        ...


class SqliteApiLog:
    """The embedded log. Raises AlreadyOpen, OSError or sqlite3.Error."""

    def __init__(self, directory: Path) -> None:
        self.ring = KeyRing(is_complete=False)
        self.events = SqliteEventLog(directory)
        self._feed = KeysFeed(directory, self.ring)
        self._uses = UsesWriter(directory, self.ring.uses)
        self._following: list[asyncio.Task[None]] = []

    async def connect(self) -> None:
        """See `ApiLog.connect`."""
        self._feed.catch_up()
        self.ring.is_complete = True
        for follow in (self._feed.follow, self._uses.follow):
            self._following.append(asyncio.create_task(follow()))

    async def close(self, *, timeout_s: float) -> None:
        """See `ApiLog.close`. What was taken is committed by then: nothing to wait for."""
        for task in self._following:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await asyncio.to_thread(self._uses.write_all)
        self._feed.close()
        await self.events.close()


class KafkaApiLog:
    """The log in Kafka. While it is away events get a 503, and the keys stay those known."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.ring = KeyRing(is_complete=False)
        self.events = KafkaEventLog(settings)
        self._feed = KafkaKeysFeed(settings, self.ring)

    async def connect(self) -> None:
        """See `ApiLog.connect`. Raises BadTopic."""
        for opening in (self.events.open, self._feed.open):
            while True:
                try:
                    await opening()
                    break
                except (KeysUnreachable, Unreachable) as error:
                    _log.warning("%s; again in %g s", error, _RETRY_S)
                    await asyncio.sleep(_RETRY_S)

    async def close(self, *, timeout_s: float) -> None:
        """See `ApiLog.close`."""
        if unknown := await self.events.close(timeout_s=timeout_s):
            _log.error("Kafka has not confirmed %d records: their outcome is unknown", unknown)
        await self._feed.close()
