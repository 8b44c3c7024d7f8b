"""Reading a request's body, unpacked, within the limits: its own, and the gateway's on bytes in
flight.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from aiohttp import web
from aiohttp.web import RequestPayloadError

from ingest_gateway.admission import Room
from ingest_gateway.answers import ask_for_body
from ingest_gateway.connections import Connection
from schemas.content_encoding import CONTENT_ENCODING, MAX_RATIO, decoder_for
from schemas.errors import ApiError, too_large, unavailable, validation_error
from schemas.event import MAX_BODY_BYTES

_STREAM_BYTES: Final = 64 * 1024  # of a stream, so many must come within the body's time-out
_HOLD_THE_LOOP_S: Final = 0.005


class Body:
    """A request's body, unpacked, one piece after the other.

    Of a whole body, the default, the end must come within ``timeout_s`` seconds and 32 MiB. After
    `stream`, every 64 KiB must come within that time, and nothing limits the size but that it may
    not grow two hundredfold when it is unpacked.

    Raises ApiError: 415 for an encoding we don't read.
    """

    def __init__(self, request: web.Request, *, timeout_s: float) -> None:
        self._request = request
        self._content = request.content
        self._length = request.content_length
        self._decoder = decoder_for(request.headers.getall(CONTENT_ENCODING, ()))
        self._pieces: Iterator[bytes] = iter(())
        self._timeout_s = self._left_s = timeout_s
        self._is_whole = True
        self._sent_bytes = self._timed_bytes = 0
        self._rested_at = time.monotonic()
        self.decoded_bytes = 0
        self.window_bytes = self._decoder.window_bytes

    def stream(self) -> None:
        """Read on under the limits of a stream."""
        self._is_whole = False

    async def read(self) -> bytes:
        """Give the next piece, at most 64 KiB; b"" at the end.

        Raises ApiError: 400 for a corrupt body, 408 for one that comes too slowly, 413 above the
        limit.
        """
        while True:
            for piece in self._pieces:
                if time.monotonic() - self._rested_at > _HOLD_THE_LOOP_S:
                    await asyncio.sleep(0)  # a small body may unpack to a lot
                    self._rested_at = time.monotonic()
                if piece:
                    self.decoded_bytes += len(piece)
                    self._check_size()
                    return piece
            chunk = await self._receive()
            if not chunk:
                self._decoder.finish()
                return b""
            self._pieces = self._decoder.feed(chunk)

    async def read_whole(self, room: Room, first: bytes = b"") -> bytes:
        """Give all of it, ``first``, which was read before, and the rest; it takes its room.

        Raises what `read` does, and a 503 when the gateway has no room.
        """
        if self._length is not None and self._length > MAX_BODY_BYTES:
            raise _over_the_limit()
        pieces = []
        piece = first or await self.read()
        while piece:
            take_room(room, len(piece))
            pieces.append(piece)
            piece = await self.read()
        return b"".join(pieces)

    def _check_size(self) -> None:
        if self._is_whole and self.decoded_bytes > MAX_BODY_BYTES:
            raise _over_the_limit()
        if self.decoded_bytes > max(MAX_BODY_BYTES, MAX_RATIO * self._sent_bytes):
            raise too_large(
                f"the body unpacks to more than {MAX_RATIO} times its size: "
                "no events are so much alike"
            )

    async def _receive(self) -> bytes:
        content = self._content
        try:
            if content.is_eof():
                chunk = b"" if content.at_eof() else content.read_nowait()
            else:
                ask_for_body(self._request)
                started_at = time.monotonic()
                async with asyncio.timeout(max(0.0, self._left_s)):
                    chunk = await content.readany()
                self._rested_at = time.monotonic()
                self._left_s -= self._rested_at - started_at
        except TimeoutError:
            raise ApiError(408, "http_client_error", self._why_too_slow()) from None
        except RequestPayloadError as error:
            raise validation_error(f"the body can't be received: {error}") from None
        self._sent_bytes += len(chunk)
        if not self._is_whole and self._sent_bytes - self._timed_bytes >= _STREAM_BYTES:
            self._timed_bytes, self._left_s = self._sent_bytes, self._timeout_s
        return chunk

    def _why_too_slow(self) -> str:
        if self._is_whole:
            return f"the body did not come within {self._timeout_s:g} s"
        return f"less than {_STREAM_BYTES} bytes of the body came within {self._timeout_s:g} s"


@asynccontextmanager
async def admitted_body(
    request: web.Request, room: Room, *, timeout_s: float
) -> AsyncIterator[bytes]:
    """Give the whole body, unpacked; its bytes count as in flight until the block ends.

    Raises ApiError: 415 for an encoding we don't read, and what `Body.read_whole` raises.
    """
    with closing_unread(request):
        try:
            yield await Body(request, timeout_s=timeout_s).read_whole(room)
        finally:
            room.give_back()


@contextmanager
def closing_unread(request: web.Request) -> Iterator[None]:
    """Make a refusal within the block close the connection if the body has not come in full.

    The client hears at once that it need not send the rest, which aiohttp reads and throws away
    for a while, or the client's system would throw away our answer.
    """
    try:
        yield
    except ApiError as error:
        if not request.content.is_eof():
            if isinstance(request.protocol, Connection):
                request.protocol.read_past()
            error.headers = {**error.headers, "Connection": "close"}
        raise


def take_room(room: Room, size_bytes: int) -> None:
    """Take room for more bytes. Raises ApiError, a 503 `not_stored`, if there is none."""
    if not room.take(size_bytes):
        raise unavailable(room.why_full, retry_after_s=1, details={"outcome": "not_stored"})


def _over_the_limit() -> ApiError:
    return too_large(
        f"the body is over {MAX_BODY_BYTES} bytes ({MAX_BODY_BYTES >> 20} MiB); "
        "send the events in several requests, or as NDJSON to /v1/events/bulk"
    )
