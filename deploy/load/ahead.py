"""Preparing ahead of the request in flight: an iterator run by a thread, met by a coroutine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class _End:
    """The iterator has no more, or raised ``error``."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class ReadAhead(Generic[T]):
    """Iterates ``items`` in a thread of its own, at most ``depth`` items ahead.

    What ``items`` raises is raised where they are awaited. The thread is a daemon and is never
    joined: it may wait for ever in a read of a pipe, and must keep nobody from leaving.
    """

    def __init__(self, items: Iterator[T], *, depth: int = 1) -> None:
        self._items = items
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Queue[T | _End] = asyncio.Queue()
        self._room = threading.Semaphore(depth)

    async def __aiter__(self) -> AsyncIterator[T]:
        threading.Thread(target=self._run, name="read-ahead", daemon=True).start()
        while True:
            item = await self._ready.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            self._room.release()
            yield item

    def _run(self) -> None:
        end = _End()
        try:
            for item in self._items:
                self._room.acquire()
                self._hand_over(item)
        except BaseException as error:
            end = _End(error)
        self._hand_over(end)

    def _hand_over(self, item: T | _End) -> None:
        try:
            self._loop.call_soon_threadsafe(self._ready.put_nowait, item)
        except RuntimeError:  # the loop was closed meanwhile: nobody waits for it any more
            return
