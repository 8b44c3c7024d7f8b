"""Reading a request's body, which is small here: a query."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from query_api.answers import ask_for_body
from schemas.content_encoding import CONTENT_ENCODING, decoder_for
from schemas.errors import ApiError, too_large, validation_error

MAX_BODY_BYTES: Final = 1024 * 1024  # decoded
_TIMEOUT_S: Final = 30.0


async def read_body(request: web.Request, *, timeout_s: float = _TIMEOUT_S) -> bytes:
    """Give the unpacked body.

    Raises ApiError: 413 above the limit, 415 for an encoding we don't read, 400 for one that is
    corrupt, 408 when the end does not come within ``timeout_s``. Each closes the connection if the
    body has not come in full.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _read(request)
    except TimeoutError:
        # aiohttp does not tell whoever waits for a chunk that the next one is none: it ends here.
        error = ApiError(408, "http_client_error", f"the body did not come within {timeout_s:g} s")
    except ApiError as refusal:
        error = refusal
    if not request.content.is_eof():
        error.headers = {**error.headers, "Connection": "close"}
    raise error


async def _read(request: web.Request) -> bytes:
    decoder = decoder_for(request.headers.getall(CONTENT_ENCODING, ()))
    ask_for_body(request)
    body = bytearray()
    try:
        async for chunk in request.content.iter_any():
            for piece in decoder.feed(chunk):
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise too_large(f"the body is over {MAX_BODY_BYTES} bytes")
    except web.RequestPayloadError as error:
        raise validation_error(f"the body can't be received: {error}") from None
    decoder.finish()
    return bytes(body)
