"""``POST /v1/events/bulk`` in all its forms: an object, which is taken whole or not at all, and
NDJSON and arrays, which are taken as they come, whatever their size.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Final

from aiohttp import web

from ingest_gateway.answers import json_response
from ingest_gateway.body import Body, closing_unread, take_room
from ingest_gateway.bulk_answers import LINE, Telling
from ingest_gateway.bulk_events import cut_bulk, read_piece
from ingest_gateway.events import Accepted
from ingest_gateway.flexprice import BULK_ANSWER, read_bulk
from ingest_gateway.intake import Intake, over_the_rate, record_headers
from ingest_gateway.pieces import Elements, Lines, Piece, Splitter
from ingest_gateway.rates import BURST_S
from ingest_gateway.refused import BadEvents, RefusedEvents, bad_events
from ingest_gateway.upload import Upload
from schemas.content_type import check_json, media_type_of
from schemas.dialects import FLEXPRICE
from schemas.errors import ApiError, validation_error

NDJSON: Final = "application/x-ndjson"
NDJSON_TYPES: Final = frozenset(
    {
        NDJSON,
        "application/ndjson",
        "application/jsonl",
        "application/json-lines",
    }
)
PARTIAL: Final = "partial"
_WORDS: Final = {"true": True, "1": True, "false": False, "0": False}
_READ_AT_ONCE_BYTES: Final = 256 * 1024
# An object after an object, on another line: never JSON as a whole, where no string holds a line.
_LINES: Final = re.compile(rb"\}[ \t\r]*+\n\s*+\{")
_LOOKED_AT_BYTES: Final = 64 * 1024
_MAX_WAIT_S: Final = 10.0  # for the rate; routers and clients give up on one who is silent for long
_HEADROOM_S: Final = BURST_S + 0.1  # Retry-After is in whole seconds, and the way takes a moment
_LOOK_EVERY_S: Final = 5.0  # whether a sender whose rate is kept is still there
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


async def take_bulk(intake: Intake, request: web.Request) -> web.Response:
    """Take an upload: what the answer says is accepted is in the log. Raises ApiError."""
    bulk = _Bulk(intake, request)
    with closing_unread(request):
        try:
            return await bulk.take()
        finally:
            await bulk.close()


def read_partial(request: web.Request) -> bool:
    """Read the query string, in which only ``partial`` may stand. Raises ApiError, a 400."""
    for name in request.query:
        if name != PARTIAL:
            raise validation_error(
                f"{name[:64]!r} is no parameter of this call; {PARTIAL} is", field=name[:64]
            )
    given = request.query.getall(PARTIAL, ["false"])
    if len(given) > 1 or given[0] not in _WORDS:
        raise validation_error(f"{PARTIAL}: must be true or false, once", field=PARTIAL)
    return _WORDS[given[0]]


class _Bulk:
    """One request under way."""

    def __init__(self, intake: Intake, request: web.Request) -> None:
        self._intake = intake
        self._request = request
        self._caller = intake.caller(request)
        self._sender = intake.sender(request, self._caller)
        self._is_partial = read_partial(request)
        self._body = Body(request, timeout_s=intake.settings.body_timeout_s)
        self._room = intake.admission.room(self._caller.key_id)
        self._headers = record_headers(request, FLEXPRICE)
        self._upload = Upload(lambda accepted: intake.append(accepted, self._headers, advise=False))
        self._telling = Telling(
            is_partial=self._is_partial, has_key=self._sender.idempotency_key is not None
        )
        self._charged_bytes = 0
        intake.rates.charge(self._caller, 1, 0)  # a bad request costs us as much as an event

    async def take(self) -> web.Response:
        if media_type_of(self._request.headers) in NDJSON_TYPES:
            self._telling.unit = LINE
            return await self._stream(Lines(), b"")
        check_json(self._request.headers, f" or {NDJSON}")
        head = await self._head()
        if head.startswith(b"["):
            return await self._stream(Elements(), head)
        return await self._object(head)

    async def close(self) -> None:
        """Let go of everything, once what is on its way has come to an end."""
        try:
            await self._upload.close()
        finally:
            self._room.give_back()
            self._charge(0)

    async def _head(self) -> bytes:
        """Read up to the first byte that is not blank, and leave out what comes before it."""
        head = b""
        while len(head) <= len(_BYTE_ORDER_MARK) and (piece := await self._body.read()):
            head = (head + piece).lstrip()
        return head.removeprefix(_BYTE_ORDER_MARK).lstrip()

    async def _object(self, head: bytes) -> web.Response:
        body = await self._body.read_whole(self._room, head)
        if _LINES.search(body, 0, _LOOKED_AT_BYTES):
            raise validation_error(
                "the body holds more than one JSON object: send an event a line as "
                "Content-Type: application/x-ndjson, or one object with events",
            )
        if self._is_partial:
            return await self._object_in_part(body)
        try:
            accepted = await self._read_object(body)
        except BadEvents as error:
            self._charge(error.looked_at - 1)
            raise
        self._charge(len(accepted.events) - 1)
        await self._intake.append(accepted, self._headers)
        return json_response(202, BULK_ANSWER)

    async def _object_in_part(self, body: bytes) -> web.Response:
        pieces = await cut_bulk(body)
        try:
            for piece in pieces:
                await self._add(piece)
                await asyncio.sleep(0)
            await self._upload.flush()
        except ApiError as error:
            raise await self._ended(error, sum(len(piece.events) for piece in pieces)) from None
        return json_response(202, self._telling.answer(self._upload.accepted))

    async def _read_object(self, body: bytes) -> Accepted:
        """Read a bulk that is all or nothing, a large one in steps, so that others get their turn.

        Raises ApiError, a 400 that names every bad event.
        """
        if len(body) <= _READ_AT_ONCE_BYTES:
            return read_bulk(body, self._sender)
        pieces = await cut_bulk(body)
        whole, refused = Accepted([], []), RefusedEvents()
        for piece in pieces:
            sender = self._intake.sender(self._request, self._caller)
            accepted, _ = read_piece(piece, sender, refused)
            if refused.over is not None:
                break
            whole.events.extend(accepted.events)
            whole.made_ids.extend(accepted.made_ids)
            await asyncio.sleep(0)
        if refused.listed:
            raise bad_events(refused, sum(len(piece.events) for piece in pieces), "events")
        return whole

    async def _stream(self, splitter: Splitter, data: bytes) -> web.Response:
        self._body.stream()
        try:
            data = data or await self._body.read()
            while data:
                self._caller = self._intake.still(self._caller)
                self._hold(splitter.held_bytes + len(data))
                await self._add_all(splitter.feed(data))
                await self._keep_to_the_rate()
                data = await self._body.read()
            await self._add_all(splitter.finish())
            await self._upload.flush()
        except ApiError as error:
            raise await self._ended(error, splitter.next_place) from None
        return json_response(202, self._telling.answer(self._upload.accepted))

    async def _add_all(self, pieces: Iterator[Piece]) -> None:
        for piece in pieces:
            await self._add(piece)

    async def _add(self, piece: Piece) -> None:
        self._charge(len(piece.events))
        sender = self._intake.sender(self._request, self._caller)
        refused = self._telling.refused
        accepted, places = read_piece(piece, sender, refused)
        await self._upload.add(accepted, places, piece.size_bytes)
        if refused.over is not None:
            raise self._telling.refusal(refused.over)

    def _hold(self, unread_bytes: int) -> None:
        """Hold as much room as the memory that is used. Raises ApiError, a 503."""
        window_bytes = min(self._body.window_bytes, self._body.decoded_bytes)
        wanted = unread_bytes + window_bytes + self._upload.held_bytes - self._room.size_bytes
        if wanted > 0:
            take_room(self._room, wanted)
        elif wanted < 0:
            self._room.give_back(-wanted)

    def _charge(self, events: int) -> None:
        size_bytes = self._body.decoded_bytes - self._charged_bytes
        self._charged_bytes += size_bytes
        self._intake.rates.charge(self._caller, events, size_bytes)

    async def _keep_to_the_rate(self) -> None:
        """Wait until the key is out of debt, and then as long as its bucket takes to fill: whoever
        else sends with it and comes again when told to, a second late at the most, gets in.

        Raises ApiError, a 429, when that would take long.
        """
        rates = self._intake.rates
        debt = rates.debt(self._caller)
        if debt is None:
            return
        waited_s, wait_s = 0.0, debt.wait_s + _HEADROOM_S
        while wait_s > 0:
            if waited_s + wait_s > _MAX_WAIT_S:
                raise over_the_rate(rates.debt(self._caller) or debt, "")
            step_s = min(wait_s, _LOOK_EVERY_S)
            await asyncio.sleep(step_s)
            if self._request.transport is None:
                raise ConnectionResetError("the sender has left")
            waited_s += step_s
            wait_s = max(wait_s - step_s, rates.wait_s(self._caller))

    async def _ended(self, error: ApiError, next_place: int) -> ApiError:
        """Give the refusal with what was accepted before it, which is in the log then."""
        if self._upload.failed_place is None:
            try:
                await self._upload.flush()
            except ApiError as failure:
                error = failure
        return self._telling.ended(error, self._upload, next_place)
