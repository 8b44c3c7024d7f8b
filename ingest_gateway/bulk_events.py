"""Pieces of an upload into checked events, and what is wrong with those that are refused. Pure but
for the IDs it makes, and that it gives others their turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from ingest_gateway.arrays import cut_array
from ingest_gateway.decoding import decode, field_and_reason
from ingest_gateway.events import Accepted, Sender
from ingest_gateway.flexprice import check_bulk, to_event
from ingest_gateway.pieces import MAX_EVENT_BYTES, Piece
from ingest_gateway.refused import RefusedEvents
from schemas.errors import validation_error
from schemas.event import InvalidEvent
from schemas.flexprice import IngestEvent


class _Bulk(msgspec.Struct):
    """The body with its events unread: that it is JSON as a whole is sure then, at no memory."""

    events: msgspec.Raw


_event = msgspec.json.Decoder(IngestEvent)
_bulk = msgspec.json.Decoder(_Bulk)


def read_piece(
    piece: Piece, sender: Sender, refused: RefusedEvents
) -> tuple[Accepted, Sequence[int]]:
    """Read a piece's good events, up to where the list of those refused is full; give them with
    their places.

    The sender must be one that has made no IDs yet.
    """
    if piece.is_utf8:
        try:
            ingests = [_event.decode(event) for event in piece.events]  # type: ignore[arg-type]
            events = [
                to_event(ingest, place, sender)
                for place, ingest in zip(piece.places, ingests, strict=True)
            ]
            return Accepted(events, sender.made_ids), piece.places
        except (InvalidEvent, TypeError, msgspec.DecodeError, RecursionError):
            sender.made_ids.clear()
    return _read_one_by_one(piece, sender, refused)


async def cut_bulk(body: bytes) -> list[Piece]:
    """Cut a bulk's object into pieces of some 64 KiB, and let others run meanwhile.

    Raises ApiError, a 400.
    """
    events = decode(body, _bulk.decode).events
    if bytes(memoryview(events)[:1]) != b"[":
        raise validation_error("events: must be an array of events", field="events")
    return await cut_array(events, check_bulk)


def _read_one_by_one(
    piece: Piece, sender: Sender, refused: RefusedEvents
) -> tuple[Accepted, Sequence[int]]:
    accepted, places = Accepted([], sender.made_ids), []
    for place, raw in zip(piece.places, piece.events, strict=True):
        made = len(sender.made_ids)
        try:
            accepted.events.append(_read(raw, place, sender))
            places.append(place)
        except InvalidEvent as error:
            del sender.made_ids[made:]
            refused.add(place, error.field, str(error))
            if refused.over is not None:
                break
    return accepted, places


def _read(raw: Any, place: int, sender: Sender) -> Any:
    if raw is None:
        raise InvalidEvent("", f"is over {MAX_EVENT_BYTES >> 10} KiB")
    try:
        bytes(raw).decode()
        return to_event(_event.decode(raw), place, sender)
    except UnicodeDecodeError as error:
        raise InvalidEvent("", f"is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise InvalidEvent("", "is nested too deep") from None
    except msgspec.ValidationError as error:
        raise InvalidEvent(*field_and_reason(error)) from None
    except msgspec.DecodeError as error:
        raise InvalidEvent("", _why_malformed(bytes(raw), str(error))) from None


def _why_malformed(raw: bytes, otherwise: str) -> str:
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return f"is not JSON: {error.msg} (column {error.colno})"
    return f"can't be read: {otherwise}"
