"""A JSON array that came whole, cut into its events in steps: others get their turn meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from ingest_gateway.pieces import Elements, Piece
from schemas.event import MAX_BULK_EVENTS

_SLICE_BYTES: Final = 64 * 1024


async def cut_array(array: msgspec.Raw, check_count: Callable[[int], None]) -> list[Piece]:
    """Cut an array, JSON as a whole, into pieces of some 64 KiB.

    Stops as soon as there are more events than a bulk may hold: they would take up many times the
    array's own room. Raises ApiError, a 400, for an element over its limit, and what
    ``check_count`` raises for their number.
    """
    splitter, view = Elements(), memoryview(array)
    pieces: list[Piece] = []
    for at in range(0, len(view), _SLICE_BYTES):
        for piece in splitter.feed(bytes(view[at : at + _SLICE_BYTES])):
            _keep(piece, pieces, splitter, check_count)
        await asyncio.sleep(0)
    for piece in splitter.finish():
        _keep(piece, pieces, splitter, check_count)
    check_count(splitter.next_place)
    return pieces


def _keep(
    piece: Piece, pieces: list[Piece], splitter: Elements, check_count: Callable[[int], None]
) -> None:
    if splitter.next_place > MAX_BULK_EVENTS:
        check_count(splitter.next_place)
    pieces.append(piece)
