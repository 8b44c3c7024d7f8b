"""Group commit for one partition: what comes in while a batch is on its way goes with the next.

So one round trip to the broker serves many requests, an idle partition answers at once, and the
order of a key is the order in which it was given.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextvars import Context
from typing import Any, Protocol

from ingest_gateway.errors import NotStored, OutcomeUnknown
from schemas.record import Record


class Append:
    """One call's records, spread over partitions, on their way to the broker and back.

    ``handed_over`` counts those of them that the broker has or may have.
    """

    def __init__(self, parts: int) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.handed_over = 0
        self.withdrawn = False
        self._parts_left = parts

    def withdraw(self) -> bool:
        """Take back what no lane has sent yet; True if that is all of it."""
        self.withdrawn = True
        return not self.handed_over

    def part_done(self) -> None:
        """Note that the broker holds one partition's records, whole."""
        self._parts_left -= 1
        if not self._parts_left and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        """Note that a part of it failed: the whole has. "Not stored" is said only if all of it
        surely is not: another partition may have its part, or this one the beginning of its own.
        """
        if isinstance(error, NotStored) and not self.withdraw():
            error = OutcomeUnknown(f"only a part of the records may be stored: {error}")
        if not isinstance(error, (NotStored, OutcomeUnknown)):
            error = OutcomeUnknown(f"the log failed: {error!r}")
        self.withdrawn = True
        if not self.done.done():
            self.done.set_exception(error)


class Part:
    """One partition's records of an append."""

    def __init__(self, append: Append, records: Sequence[Record]) -> None:
        self.append = append
        self.records = records
        self.sent = 0  # how many of them went with earlier batches


class Batches(Protocol):
    """What makes and sends one partition's batches."""

    def fill(self, records: Sequence[Record]) -> tuple[Any, int]:
        """Put as many records as fit, at least one, into a batch; give it and their number.

        Raises if no batch can be made just now: then nothing was sent.
        """
        ...

    async def send(self, batch: Any) -> None:
        """Send a batch: the broker holds it when this returns. Raises what became of it."""
        ...


class Lane:
    """The way to one partition. ``max_records`` bounds what is looked at for one batch."""

    def __init__(self, batches: Batches, *, max_records: int) -> None:
        self._batches = batches
        self._max_records = max_records
        self._waiting: deque[Part] = deque()
        self._running: asyncio.Task[None] | None = None
        self._sent_at: float | None = None
        self.unconfirmed_records = 0

    def put(self, part: Part) -> None:
        """Take a part in; its append hears what becomes of it."""
        self._waiting.append(part)
        if self._running is None or self._running.done():
            # In a context of its own: it works for many requests, and logs under no one's ID.
            self._running = asyncio.create_task(self._run(), context=Context())

    def unconfirmed_s(self) -> float:
        """How long the batch that is on its way has been so; 0 if there is none."""
        return 0.0 if self._sent_at is None else time.monotonic() - self._sent_at

    async def idle(self) -> None:
        """Return when nothing is on its way. Cancelling it leaves the rest on its way."""
        if self._running is not None:
            await asyncio.wait((self._running,))

    async def _run(self) -> None:
        while taken := self._take():
            records = [record for part in taken for record in part.records[part.sent :]]
            going = [(part, 0) for part in taken]
            try:
                batch, count = self._batches.fill(records)
                going = self._divide(taken, count)
                self._sent_at = time.monotonic()
                self.unconfirmed_records = count
                await self._batches.send(batch)
            except Exception as error:
                for part, sent in going:
                    if isinstance(error, NotStored):
                        part.append.handed_over -= sent
                    part.append.fail(error)
            else:
                for part, _ in going:
                    if part.sent == len(part.records):
                        part.append.part_done()
            finally:
                self._sent_at = None
                self.unconfirmed_records = 0

    def _take(self) -> list[Part]:
        """Take parts for one batch, but none of an append that was withdrawn."""
        taken: list[Part] = []
        count = 0
        while self._waiting and count < self._max_records:
            part = self._waiting.popleft()
            if not part.append.withdrawn:
                taken.append(part)
                count += len(part.records) - part.sent
        return taken

    def _divide(self, taken: Sequence[Part], count: int) -> list[tuple[Part, int]]:
        """Give the parts of which some of ``count`` records go now, with how many; whoever has
        records left is the first to go next.
        """
        going: list[tuple[Part, int]] = []
        unfinished: list[Part] = []
        for part in taken:
            now = min(count, len(part.records) - part.sent)
            count -= now
            part.sent += now
            if now:
                part.append.handed_over += now
                going.append((part, now))
            if part.sent < len(part.records):
                unfinished.append(part)
        self._waiting.extendleft(reversed(unfinished))
        return going
