"""A thread that prepares ahead: bounded, in order, and never in the way of leaving."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from deploy.load.ahead import ReadAhead

pytestmark = pytest.mark.unit


async def test_items_come_in_order_and_no_more_than_asked_ahead() -> None:
    """While one item is worked on, one waits and one more is being made."""
    made = 0

    def items() -> Iterator[int]:
        nonlocal made
        for number in range(20):
            made = number + 1
            yield number

    met = []
    async for item in ReadAhead(items()):
        await asyncio.sleep(0.001)
        met.append(item)
        assert made <= item + 3
    assert met == list(range(20))


async def test_an_error_is_raised_where_items_are_awaited() -> None:
    """After the items that came before it."""

    def items() -> Iterator[int]:
        yield 1
        raise OSError("disk on fire")

    met = []
    with pytest.raises(OSError, match="disk on fire"):
        met += [item async for item in ReadAhead(items())]
    assert met == []


async def test_a_thread_that_waits_holds_nobody_up() -> None:
    """Leaving in the middle is possible while the thread is in a read that does not end."""
    never = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        never.wait(20)

    async with asyncio.timeout(5):
        async for item in ReadAhead(items()):
            assert item == 1
            break
    never.set()
