"""Answering what never changes while the process runs: its OpenAPI document, for one."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import ETag, web

# A copy may be kept, but is asked for each time: after an update it is another one.
_CACHED: Final = "no-cache"


def serving(
    content: bytes, content_type: str, headers: Mapping[str, str] | None = None
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Give a handler that answers these bytes, or a 304 to who has them."""
    charset = "utf-8" if content_type.startswith("text/") else None
    tag = hashlib.sha256(content).hexdigest()[:32]

    async def serve(request: web.Request) -> web.Response:
        known = request.if_none_match or ()
        if any(one.value in (tag, "*") for one in known):
            response = web.Response(status=304)
        else:
            response = web.Response(body=content, content_type=content_type, charset=charset)
        response.etag = ETag(tag)
        response.headers["Cache-Control"] = _CACHED
        response.headers.update(headers or {})
        return response

    return serve
