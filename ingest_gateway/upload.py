"""An upload's events on their way into the log: appended batch by batch while more are read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from ingest_gateway.events import Accepted
from schemas.errors import ApiError

_MAX_BATCH_EVENTS: Final = 2_000
_MAX_BATCH_BYTES: Final = 1 << 20


class _Batch:
    """Events, their places in the upload, and the bytes that they came in."""

    def __init__(self) -> None:
        self.accepted = Accepted([], [])
        self.places: list[int] = []
        self.size_bytes = 0

    def made_for(self) -> list[int]:
        """Give the places of the events whose IDs we made, in the order of those IDs."""
        made = iter(self.accepted.made_ids)
        following, places = next(made, None), []
        for event, place in zip(self.accepted.events, self.places, strict=True):
            if event.event_id == following:
                places.append(place)
                following = next(made, None)
        return places


class Upload:
    """Appends what is added, in order, one batch at a time.

    ``accepted`` counts the events that are surely in the log. ``failed_place`` is None, or the
    place of the first event that is not surely in it, once appending has failed; ``made_for`` are
    the places of those events of the batch that failed whose IDs we made.
    """

    def __init__(self, append: Callable[[Accepted], Awaitable[None]]) -> None:
        self._append = append
        self._batch = _Batch()
        self._on_its_way = _Batch()
        self._appending: asyncio.Task[None] | None = None
        self.accepted = 0
        self.failed_place: int | None = None
        self.made_for: list[int] = []

    @property
    def held_bytes(self) -> int:
        """What is added and not appended yet."""
        return self._batch.size_bytes + self._on_its_way.size_bytes

    async def add(self, accepted: Accepted, places: Sequence[int], size_bytes: int) -> None:
        """Take events, which stand at these places. May wait for the batch before.

        Raises ApiError, which tells what became of the batch that failed.
        """
        if not accepted.events:
            return
        batch = self._batch
        batch.places.extend(places)
        batch.accepted.events.extend(accepted.events)
        batch.accepted.made_ids.extend(accepted.made_ids)
        batch.size_bytes += size_bytes
        is_full = len(batch.accepted.events) >= _MAX_BATCH_EVENTS
        if is_full or batch.size_bytes >= _MAX_BATCH_BYTES:
            await self._send()

    async def flush(self) -> None:
        """Append what was added: it is in the log when this returns. Raises ApiError, as `add`."""
        if self._batch.accepted.events:
            await self._send()
        await self._settle()

    async def close(self) -> None:
        """Wait for what is on its way, and leave what is not. May be called at any time."""
        if self._appending is not None:
            await asyncio.wait((self._appending,))
            self._appending.cancelled() or self._appending.exception()  # it is nobody's any more
            self._appending = None

    async def _send(self) -> None:
        await self._settle()
        self._on_its_way, self._batch = self._batch, _Batch()
        self._appending = asyncio.ensure_future(self._append(self._on_its_way.accepted))

    async def _settle(self) -> None:
        appending, self._appending = self._appending, None
        if appending is None:
            return
        batch = self._on_its_way
        try:
            await appending
        except ApiError:
            self.failed_place = batch.places[0]
            self.made_for = batch.made_for()
            raise
        self.accepted += len(batch.accepted.events)
        self._on_its_way = _Batch()
