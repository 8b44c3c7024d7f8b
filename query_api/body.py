"""Reading a request's body, which is small here: a query."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from schemas.errors import ApiError, too_large

MAX_BODY_BYTES: Final = 1024 * 1024  # decoded

_DECODED_BY_AIOHTTP: Final = ("identity", "gzip", "deflate")


async def read_body(request: web.Request) -> bytes:
    """Give the decoded body.

    Raises ApiError: 413 above the limit, 415 for an encoding we don't read, 400 for one that is
    corrupt.
    """
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding not in _DECODED_BY_AIOHTTP:
        raise ApiError(
            415,
            "http_client_error",
            f"Content-Encoding {encoding!r} is not read here, only gzip and deflate",
        )
    body = bytearray()
    try:
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise too_large(f"the body is over {MAX_BODY_BYTES} bytes")
    except web.RequestPayloadError as error:
        # aiohttp closes the connection after this answer: the client must not use it again.
        raise ApiError(
            400,
            "validation_error",
            f"the body is not what Content-Encoding says: {error}",
            headers={"Connection": "close"},
        ) from None
    return bytes(body)
