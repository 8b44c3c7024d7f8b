"""Waiting for work and for a reason to give it up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def until(event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Do the work, or cancel it and give None when the event is set first.

    Work that is done in the same moment counts as done. Raises what the work raises.
    """
    working, waiting = asyncio.create_task(work), asyncio.create_task(event.wait())
    try:
        await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, waiting):
            task.cancel()
        await asyncio.wait((working, waiting))
