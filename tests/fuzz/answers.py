"""What comes back, as bytes, and whether it may: in the dialect of the path, and never a 5xx."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from schemas.dialects import CLOUDEVENTS, FLEXPRICE, SEQUENCE, dialect_of
from tests.fuzz.corpus import Request

# Of these the text is no JSON.
PAGES = ("/docs", "/metrics")
_SHAPES = {
    FLEXPRICE.name: {"code", "message", "http_status_code", "success", "error"},
    SEQUENCE.name: {"code", "message", "statusCode"},
    CLOUDEVENTS.name: {"type", "title", "status", "detail", "code"},
}


@dataclass
class Answer:
    """One answer; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


async def read_answer(reader: asyncio.StreamReader, *, is_head: bool) -> Answer | None:
    """Read one answer; None if the connection ends before one begins.

    Raises ValueError for what is no HTTP, IncompleteReadError for one that is cut.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    line, *lines = head.decode("latin-1").split("\r\n")[:-2]
    version, status, _ = (line + " ").split(" ", 2)
    if not version.startswith("HTTP/"):
        raise ValueError(f"no status line: {line!r}")
    headers: dict[str, str] = {}
    for one in lines:
        name, _, value = one.partition(":")
        if name.lower() in headers and name.lower() != "vary":
            raise ValueError(f"the header {name} stands there twice")
        headers[name.lower()] = value.strip()
    body = b""
    if not is_head and int(status) not in (204, 304) and int(status) >= 200:
        if headers.get("transfer-encoding") == "chunked":
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readexactly(2)
        else:
            body = await reader.readexactly(int(headers["content-length"]))
    return Answer(int(status), headers, body)


def wrong(answer: Answer, request: Request | None) -> str | None:
    """Say what is wrong with an answer, or None. Without ``request`` its head was broken, so the
    path is not known, and aiohttp's own plain 400 or 417 (Expect) will do.
    """
    status, headers = answer.status, answer.headers
    kind = headers.get("content-type", "")
    if status >= 500:
        return f"a {status}"
    if request is None and status == 400 and kind.startswith("text/plain"):
        return None
    if status == 100:
        return None if request is None else "a 100"
    if "x-request-id" not in headers and not _is_operators(request):
        return "no X-Request-ID"
    if not answer.body:
        return None if status in (204, 304) or _is_head(request) else f"a {status} without a body"
    if status < 400 and not kind.startswith("application/json"):
        path = "/docs" if request is None else request.path
        return None if path.startswith(PAGES) else f"a {status} of the type {kind}"
    try:
        told = json.loads(answer.body, parse_constant=_no_json)
    except ValueError as error:
        return f"a body that is no JSON: {error}"
    return None if status < 400 else _wrong_refusal(status, kind, told, request)


def _wrong_refusal(status: int, kind: str, told: Any, request: Request | None) -> str | None:
    dialects = (FLEXPRICE, SEQUENCE, CLOUDEVENTS)
    if request is not None and "%" not in request.path:
        dialects = (dialect_of(request.path),)
    for dialect in dialects:
        if kind == dialect.content_type and told.keys() >= _SHAPES[dialect.name]:
            stated = {told.get(name) for name in ("http_status_code", "statusCode", "status")}
            text = told.get("message") or told.get("detail")
            if status not in stated or not text:
                return f"a refusal that does not tell its status {status} and why"
            if status in (429, 503):
                return f"a {HTTPStatus(status).phrase}, which nothing here is a reason for"
            return None
    return f"a {status} of {kind} that is not in the shape of {dialects[0].name}"


def _no_json(name: str) -> None:
    """Refuse NaN and infinities, which Python alone takes."""
    raise ValueError(name)


def _is_head(request: Request | None) -> bool:
    return request is None or request.method == "HEAD"


def _is_operators(request: Request | None) -> bool:
    """Whether it is of the calls that operators make, which need no ID."""
    return request is None or request.path.endswith(("/livez", "/readyz", "/openapi.json", "/docs"))
