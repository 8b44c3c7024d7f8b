"""The consumer's loop: be given partitions, collect, store, commit, give them back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from consumer.batch import Batch
from consumer.batch_writer import BatchWriter
from consumer.dead_letter import DeadLetters
from consumer.errors import Revoked, Unavailable
from consumer.offsets import Versions
from consumer.settings import Settings
from consumer.source import Assignment, Source
from consumer.store import Store
from consumer.waiting import until

_log = logging.getLogger(__name__)

_FETCH_AT_ONCE: Final = 20_000
_FETCH_AT_MOST_S: Final = 0.25  # a stop goes unseen no longer than this
_BACKOFF_S: Final = 0.5


class Consumer:
    """Moves events from the log to the store until told to stop.

    While one batch is stored the next is collected, and never more than that, whatever is down.
    ``check_twice``: see `BatchWriter`.
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
        self._settings = settings
        self._make_writer = partial(
            BatchWriter, source, store, dead_letters, settings, check_twice=check_twice
        )

    async def run(self, stop: asyncio.Event) -> bool:
        """Consume until ``stop`` is set, then finish what is held and leave the group.

        Gives False if what was held could not be finished within the drain time-out: nothing is
        lost, since its offsets are not committed. Raises `consumer.errors.MustStop`.
        """
        stopping = asyncio.create_task(stop.wait())
        finished = True
        try:
            await until(stop, self._source.open())
            while not stop.is_set():
                assignment = await until(stop, self._source.next_assignment())
                if assignment is not None:
                    drained = await self._read(assignment, stopping)
                    finished = drained or not stop.is_set()
                self._source.release()
        finally:
            await _end((stopping,))
            await self._source.close()
        return finished

    async def _read(self, assignment: Assignment, stopping: asyncio.Task[Any]) -> bool:
        """Consume what was assigned until it ends or ``stopping`` is done; False if what was
        held then could not be finished.
        """
        # A writer for each assignment: what one dropped comes again, and must not count twice.
        reading = _Reading(self._source, self._make_writer(), self._settings, assignment)
        collecting = asyncio.create_task(reading.collect())
        storing = asyncio.create_task(reading.store_all())
        ending = asyncio.create_task(assignment.ended.wait())
        try:
            await asyncio.wait(
                (collecting, storing, ending, stopping), return_when=asyncio.FIRST_COMPLETED
            )
            reading.stop()
            async with asyncio.timeout(self._settings.drain_timeout_s):
                await asyncio.gather(collecting, storing)
        except Revoked as error:
            # Whoever has the partitions now reads what is dropped here from the last commit on.
            _log.warning("what is held is dropped: %s", error)
        except TimeoutError:
            _log.error("what is held could not be stored in time; it stays in the log")
            return False
        finally:
            await _end((collecting, storing, ending))
        return True


class _Reading:
    """One assignment's batches on their way from the source to the writer."""

    def __init__(
        self, source: Source, writer: BatchWriter, settings: Settings, assignment: Assignment
    ) -> None:
        self._source = source
        self._writer = writer
        self._settings = settings
        self._assignment = assignment
        self._stopping = False
        self._versions = Versions(assignment.positions)
        self._batches: asyncio.Queue[Batch | None] = asyncio.Queue()
        # The batch that is stored, and the one that is collected meanwhile.
        self._places = asyncio.Semaphore(2)

    def stop(self) -> None:
        """Collect no more; what is held is stored."""
        self._stopping = True

    async def collect(self) -> None:
        """Fill batches and hand them over, one ahead; None at the end."""
        while not self._is_ending():
            await self._places.acquire()
            batch = await self._collect_one()
            self._batches.put_nowait(batch)
        self._batches.put_nowait(None)

    async def store_all(self) -> None:
        """Store the batches in their order. Raises `Revoked` or `MustStop`."""
        while (batch := await self._batches.get()) is not None:
            if batch.records:
                await self._writer.write(batch.records, self._versions)
            self._places.release()

    def _is_ending(self) -> bool:
        return self._stopping or self._assignment.ended.is_set()

    async def _collect_one(self) -> Batch:
        batch = Batch()
        while not self._is_ending() and not batch.is_full(self._settings):
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
                await asyncio.sleep(_BACKOFF_S)
                continue
            if records:
                batch.add(records, time.monotonic())
        return batch


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended, however they do."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task
