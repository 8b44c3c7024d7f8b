"""Worker threads for blocking calls, and the life of one query that may be abandoned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from deploy.embedded.clickhouse.errors import RequestError

T = TypeVar("T")
P = ParamSpec("P")

MAX_THREADS = 32
MAX_QUERIES = 256
_KILL_AGAIN_S = 0.2


class Pool:
    """Runs at most `MAX_THREADS` calls at once; more wait, up to `MAX_QUERIES` queries in all."""

    def __init__(
        self,
        kill: Callable[[str], None],
        *,
        max_threads: int = MAX_THREADS,
        max_queries: int = MAX_QUERIES,
    ) -> None:
        self._kill = kill
        self._threads = ThreadPoolExecutor(max_threads, thread_name_prefix="query")
        # Its own thread: a full pool must not delay what makes room in it.
        self._killer = ThreadPoolExecutor(1, thread_name_prefix="kill")
        self._max_queries = max_queries
        self._admitted = 0
        self._ends: set[asyncio.Task[None]] = set()
        self._works: set[Work] = set()
        self._idle = asyncio.Event()
        self._draining = False

    def admit(self, end: Callable[[], None], ended: Callable[[], None]) -> Work:
        """Take one query in.

        Once nothing of it runs, ``end`` is called in a worker thread, then ``ended`` on the loop.

        Raises `RequestError` when too many are running and waiting, or the server is stopping.
        """
        if self._draining:
            raise RequestError(236, "ABORTED", "The server is stopping")
        if self._admitted >= self._max_queries:
            raise RequestError(
                202,
                "TOO_MANY_SIMULTANEOUS_QUERIES",
                f"Too many simultaneous queries. Maximum: {self._max_queries}",
            )
        self._admitted += 1
        work = Work(self, end, ended)
        self._works.add(work)
        return work

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call in a worker thread."""
        return self._threads.submit(call, *args, **kwargs)

    async def drain(self, timeout_s: float) -> None:
        """Admit nothing more, and wait that long for what runs."""
        self._draining = True
        if self._works:
            self._idle.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), timeout_s)

    async def close(self, timeout_s: float) -> bool:
        """Kill what still runs, wait for its threads; False if one is still in the engine."""
        self._draining = True
        for work in tuple(self._works):
            work.begin_end()
        if self._ends:
            await asyncio.wait(self._ends, timeout=timeout_s)
        idle = not self._ends
        self._threads.shutdown(wait=idle, cancel_futures=not idle)
        self._killer.shutdown(wait=idle, cancel_futures=not idle)
        return idle

    async def kill(self, token: str) -> None:
        """Kill by the token of a link."""
        await asyncio.wrap_future(self._killer.submit(self._kill, token))

    def keep(self, task: asyncio.Task[None], work: Work) -> None:
        """Remember the end of a query until it has ended."""
        self._ends.add(task)

        def forget(_: asyncio.Task[None]) -> None:
            self._ends.discard(task)
            self._works.discard(work)
            self._admitted -= 1
            if not self._works:
                self._idle.set()

        task.add_done_callback(forget)


class Work:
    """One admitted query, as an async context.

    A thread can't be interrupted. When the handler is cancelled inside `call`, the context's end
    moves to a task of its own: it kills the query in the engine if that was allowed, waits for
    the thread to come back, and only then lets the connection go.
    """

    def __init__(self, pool: Pool, end: Callable[[], None], ended: Callable[[], None]) -> None:
        self._pool = pool
        self._end = end
        self._ended = ended
        self._call: Future[Any] | None = None
        self._running: asyncio.Future[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._kill_token: Callable[[], str | None] | None = None

    async def __aenter__(self) -> Work:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.end()

    async def call(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call of this query; one at a time."""
        future = self._pool.submit(call, *args, **kwargs)
        running = asyncio.wrap_future(future)
        self._call, self._running = future, running
        # Shielded: cancelling must not make a call that has begun look finished.
        return await asyncio.shield(running)

    def kill_when_abandoned(self, token: Callable[[], str | None]) -> None:
        """Allow killing; ``token`` gives None for as long as nothing runs in the engine."""
        self._kill_token = token

    async def end(self) -> None:
        """End the query now; leaving the context does the same. Cancelling only stops waiting."""
        await asyncio.shield(self.begin_end())

    def begin_end(self) -> asyncio.Task[None]:
        """Start ending the query, unless that has begun; the task is done when it has ended."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run_end())
            self._pool.keep(self._task, self)
        return self._task

    async def _run_end(self) -> None:
        call, running = self._call, self._running
        if call is not None and running is not None and not call.cancel():
            await self._wait_or_kill(running)
        try:
            await asyncio.wrap_future(self._pool.submit(self._end))
        finally:
            self._ended()

    async def _wait_or_kill(self, running: asyncio.Future[Any]) -> None:
        while not running.done():
            # More than once: the thread may not have reached the engine at the first.
            token = self._kill_token() if self._kill_token is not None else None
            if token is not None:
                await self._pool.kill(token)
            await asyncio.wait({running}, timeout=_KILL_AGAIN_S)
        with suppress(Exception):
            # Nobody is left to hear how it ended.
            running.result()
