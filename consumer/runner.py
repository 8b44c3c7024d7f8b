"""The consumer's loop: fetch, resolve, insert, commit, in that order and no other."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from consumer.batch import Batch
from consumer.dead_letter import DeadLetter, DeadLetters
from consumer.errors import BadRecord, Refused, Unavailable
from consumer.intake import Sent, take_in
from consumer.offsets import Versions
from consumer.resolve import group_by_identity, resolve, second_look
from consumer.settings import Settings
from consumer.source import Source
from consumer.store import Store

_log = logging.getLogger(__name__)

_FETCH_AT_ONCE: Final = 20_000
_FETCH_AT_MOST_S: Final = 0.25  # a stop goes unseen no longer than this
_FIRST_BACKOFF_S: Final = 0.1
_LAST_BACKOFF_S: Final = 5.0

T = TypeVar("T")


class Consumer:
    """Moves events from the log to the store until told to stop.

    ``check_twice`` turns on the second look, which is needed wherever two partitions may hold one
    event ID: where the partition count can grow. While one batch is stored the next is collected,
    and never more than that, whatever is down.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        dead_letters: DeadLetters,
        settings: Settings,
        *,
        check_twice: bool,
    ) -> None:
        self._source = source
        self._store = store
        self._dead_letters = dead_letters
        self._settings = settings
        self._check_twice = check_twice
        self._versions = Versions({})
        # The batch that is stored, and the one that is collected meanwhile.
        self._places = asyncio.Semaphore(2)

    async def run(self, stop: asyncio.Event) -> bool:
        """Consume until ``stop`` is set, then finish what is held and leave the group.

        Gives False if what was held could not be finished within the drain time-out: nothing is
        lost, since its offsets are not committed.
        """
        positions = await self._source.open()
        self._versions = Versions(positions)
        batches: asyncio.Queue[Batch | None] = asyncio.Queue()
        collecting = asyncio.create_task(self._collect(batches, stop))
        storing = asyncio.create_task(self._store_all(batches))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((collecting, storing, stopping), return_when=asyncio.FIRST_COMPLETED)
            async with asyncio.timeout(self._settings.drain_timeout_s):
                await asyncio.gather(collecting, storing)
        except TimeoutError:
            _log.error("what is held could not be stored in time; it stays in the log")
            return False
        finally:
            for task in (collecting, storing, stopping):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
            await self._source.close()
        return True

    async def _collect(self, batches: asyncio.Queue[Batch | None], stop: asyncio.Event) -> None:
        """Fill batches and hand them over, one ahead; None at the end."""
        while not stop.is_set():
            await self._places.acquire()
            batch = await self._collect_one(stop)
            batches.put_nowait(batch)
        batches.put_nowait(None)

    async def _collect_one(self, stop: asyncio.Event) -> Batch:
        batch = Batch()
        while not stop.is_set() and not batch.is_full(self._settings):
            seconds_left = batch.seconds_left(self._settings, time.monotonic())
            if seconds_left <= 0:
                break
            try:
                records = await self._source.fetch(
                    max_records=min(_FETCH_AT_ONCE, batch.rows_left(self._settings)),
                    max_bytes=batch.bytes_left(self._settings),
                    timeout_s=min(_FETCH_AT_MOST_S, seconds_left),
                )
            except Unavailable as error:
                _log.warning("reading the log: %s", error)
                await asyncio.sleep(_FIRST_BACKOFF_S)
                continue
            if records:
                batch.add(records, time.monotonic())
        return batch

    async def _store_all(self, batches: asyncio.Queue[Batch | None]) -> None:
        while (batch := await batches.get()) is not None:
            if batch.records:
                await self._store_one(batch)
            self._places.release()

    async def _store_one(self, batch: Batch) -> None:
        """Store a batch, then commit it. Killed anywhere in here, a replay ends the same."""
        sends, letters = self._take_in(batch)
        groups = group_by_identity(sends)
        # 1. look up; the batch before this one is in the index already
        known = await self._insist("look-up", lambda: self._store.look_up(groups))
        resolved = resolve(groups, known)
        # 2. events and tombstones, in one insert
        if resolved.event_lines:
            lines = resolved.event_lines
            await self._insist("insert of events", lambda: self._store.insert_events(lines))
        # 3. the index, which only now may know of them
        if resolved.entries:
            entries = resolved.entries
            await self._insist("insert of IDs", lambda: self._store.insert_event_ids(entries))
        # 4. the second look
        if self._check_twice and groups:
            known = await self._insist("second look", lambda: self._store.look_up(groups))
            if hidden := second_look(groups, known):
                await self._insist("tombstones", lambda: self._store.insert_events(hidden))
        # 5. what can't be stored
        if letters:
            await self._insist("dead letters", lambda: self._dead_letters.append(letters))
        # 6. the offsets
        positions = {
            record.partition: self._versions.position(record.partition) for record in batch.records
        }
        await self._insist("commit", lambda: self._source.commit(positions))

    def _take_in(self, batch: Batch) -> tuple[list[Sent], list[DeadLetter]]:
        sends: list[Sent] = []
        letters: list[DeadLetter] = []
        for record in batch.records:
            version = self._versions.stamp(record)
            try:
                sends.append(take_in(record, version))
            except BadRecord as error:
                letters.append(DeadLetter(record, version, str(error)))
        return sends, letters

    async def _insist(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Do it, however long the dependency is away; the batch and its place are kept."""
        backoff_s = _FIRST_BACKOFF_S
        while True:
            try:
                return await attempt()
            except (Unavailable, Refused) as error:
                level = logging.WARNING if isinstance(error, Unavailable) else logging.ERROR
                _log.log(level, "%s failed, again in %.1f s: %s", what, backoff_s, error)
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _LAST_BACKOFF_S)
