"""Reading a request's body within the limits: its own, and the gateway's on bytes in flight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.web import RequestPayloadError

from ingest_gateway.admission import Room
from schemas.errors import ApiError, too_large, unavailable
from schemas.event import MAX_BODY_BYTES

# aiohttp closes the connection after these answers: the client must not use it again.
_CLOSE = {"Connection": "close"}
_DECODED_BY_AIOHTTP = ("identity", "gzip", "deflate")


@asynccontextmanager
async def admitted_body(
    request: web.Request, room: Room, *, timeout_s: float
) -> AsyncIterator[bytes]:
    """Give the decoded body; its bytes count as in flight until the block ends.

    Raises ApiError: 413 above the limit, 415 for an encoding we don't read, 400 for one that is
    corrupt, 408 for one that has not come within ``timeout_s`` seconds, 503 when the gateway has
    no room.
    """
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding not in _DECODED_BY_AIOHTTP:
        raise ApiError(
            415,
            "http_client_error",
            f"Content-Encoding {encoding!r} is not read here, only gzip and deflate",
        )
    if request.content_length is not None and request.content_length > MAX_BODY_BYTES:
        raise _over_the_limit()
    try:
        yield await _read(request, room, timeout_s)
    finally:
        room.give_back()


async def _read(request: web.Request, room: Room, timeout_s: float) -> bytes:
    chunks: list[bytes] = []
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.content.iter_any():
                if not room.take(len(chunk)):
                    raise unavailable(
                        "the gateway has no room for another request just now",
                        retry_after_s=1,
                        details={"outcome": "not_stored"},
                    )
                if room.size_bytes > MAX_BODY_BYTES:
                    raise _over_the_limit()
                chunks.append(chunk)
    except TimeoutError:
        message = f"the body did not come within {timeout_s:g} s"
        raise ApiError(408, "http_client_error", message, headers=_CLOSE) from None
    except RequestPayloadError as error:
        message = f"the body is not what Content-Encoding says: {error}"
        raise ApiError(400, "validation_error", message, headers=_CLOSE) from None
    return b"".join(chunks)


def _over_the_limit() -> ApiError:
    return too_large(
        f"the body is over {MAX_BODY_BYTES} bytes ({MAX_BODY_BYTES >> 20} MiB); "
        "send the events in several requests"
    )
