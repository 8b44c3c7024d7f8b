from __future__ import annotations

import asyncio
import threading

import pytest

from deploy.embedded.clickhouse.errors import RequestError
from deploy.embedded.clickhouse.pool import Pool

pytestmark = pytest.mark.unit


class Recorder:
    """Stands where the engine is: a call that ends when it is killed, and what happened."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.started = threading.Event()
        self.killed = threading.Event()

    def run(self) -> str:
        self.started.set()
        assert self.killed.wait(10)
        self.events.append("returned")
        return "answer"

    def kill(self, token: str) -> None:
        self.events.append(f"killed {token}")
        self.killed.set()

    def end(self) -> None:
        self.events.append("end")

    def ended(self) -> None:
        self.events.append("ended")


async def abandon(pool: Pool, recorder: Recorder, *, kill: bool) -> None:
    """Cancel a handler inside its blocking call."""

    async def handler() -> None:
        async with pool.admit(recorder.end, recorder.ended) as work:
            if kill:
                work.kill_when_abandoned(lambda: "token")
            await work.call(recorder.run)

    task = asyncio.create_task(handler())
    await asyncio.to_thread(recorder.started.wait, 10)
    task.cancel()
    if not kill:
        await asyncio.sleep(0.3)
        recorder.killed.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_call_gives_its_result() -> None:
    """A query's calls run in threads, and its end comes after them."""
    recorder = Recorder()
    pool = Pool(recorder.kill)
    async with pool.admit(recorder.end, recorder.ended) as work:
        assert await work.call(threading.get_ident) != threading.get_ident()
    assert recorder.events == ["end", "ended"]
    assert await pool.close(1)


async def test_abandoned_read_is_killed_before_its_end() -> None:
    """The connection is let go only when the thread has come back."""
    recorder = Recorder()
    pool = Pool(recorder.kill)
    await abandon(pool, recorder, kill=True)
    assert await pool.close(5)
    assert recorder.events[0] == "killed token"
    assert recorder.events[-3:] == ["returned", "end", "ended"]


async def test_abandoned_write_is_waited_for() -> None:
    """What may not be killed runs to its end."""
    recorder = Recorder()
    pool = Pool(recorder.kill)
    await abandon(pool, recorder, kill=False)
    assert await pool.close(5)
    assert recorder.events == ["returned", "end", "ended"]


async def test_query_that_never_began_is_not_run() -> None:
    """A call that still waits for a thread when its client leaves never starts."""
    recorder = Recorder()
    pool = Pool(recorder.kill, max_threads=1)
    ran = threading.Event()

    async def waiting() -> None:
        async with pool.admit(lambda: None, lambda: None) as work:
            await work.call(ran.set)

    async with pool.admit(recorder.end, recorder.ended) as first:
        running = asyncio.create_task(first.call(recorder.run))
        await asyncio.to_thread(recorder.started.wait, 10)
        task = asyncio.create_task(waiting())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0.05)
        recorder.killed.set()
        assert await running == "answer"
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await pool.close(5)
    assert not ran.is_set()


async def test_too_many_are_refused_and_places_come_back() -> None:
    """The bound counts queries that have not ended."""
    pool = Pool(lambda token: None, max_queries=2)
    nothing = lambda: None  # noqa: E731 - the same end for both
    async with pool.admit(nothing, nothing), pool.admit(nothing, nothing):
        with pytest.raises(RequestError, match="Maximum: 2") as refused:
            pool.admit(nothing, nothing)
        assert refused.value.code == 202
    async with pool.admit(nothing, nothing):
        pass
    assert await pool.close(1)


async def test_draining_pool_admits_nothing() -> None:
    """Once the server stops, a new query is refused, and the drain ends with the last one."""
    pool = Pool(lambda token: None)
    async with pool.admit(lambda: None, lambda: None):
        await pool.drain(0.01)
        with pytest.raises(RequestError, match="stopping"):
            pool.admit(lambda: None, lambda: None)
        drained = asyncio.create_task(pool.drain(60))
    await asyncio.wait_for(drained, 5)
    assert await pool.close(1)


async def test_call_that_can_not_be_stopped_is_reported() -> None:
    """A thread that stays in the engine is told of, not waited for."""
    recorder = Recorder()
    pool = Pool(lambda token: None)
    work = pool.admit(recorder.end, recorder.ended)
    call = asyncio.create_task(work.call(recorder.run))
    await asyncio.to_thread(recorder.started.wait, 10)
    assert not await pool.close(0.3)
    recorder.killed.set()
    assert await call == "answer"
    await asyncio.sleep(0.3)
