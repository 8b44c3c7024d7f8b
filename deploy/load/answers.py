"""What an answer to a bulk means for the loader: status, headers, body in, reaction out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

_ACCEPTED: Final = 202
_TRY_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
_BAD_KEY: Final = frozenset({401, 403})
_CONTENT: Final = frozenset({400, 413, 422})
_SHOWN_CHARS: Final = 300


class Accepted(NamedTuple):
    """Every event of the request is safe."""


class BadEvents(NamedTuple):
    """Nothing was appended; ``reasons`` maps the index of each event at fault to (field, text)."""

    reasons: dict[int, tuple[str, str]]


class BadRequest(NamedTuple):
    """Nothing was appended, and the answer does not say which event is at fault."""

    reason: str


class TryAgain(NamedTuple):
    """The server can't now; ``retry_after_s`` is what it asked for."""

    reason: str
    retry_after_s: float | None


class GiveUp(NamedTuple):
    """No repetition helps: the user must change something."""

    reason: str


Answer = Accepted | BadEvents | BadRequest | TryAgain | GiveUp


class _BadEvent(msgspec.Struct):
    index: int
    message: str = "was refused"
    field: str | None = None


class _Details(msgspec.Struct):
    errors: list[_BadEvent] = []
    field: str | None = None


class ErrorBody(msgspec.Struct):
    """An error of the dialect, as far as the command line reads it."""

    message: str = ""
    details: _Details | None = None


def read_error(body: bytes) -> ErrorBody:
    """Read an error's body; one in another form (a proxy's page) gives its beginning as text."""
    try:
        return msgspec.json.decode(body, type=ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = " ".join(body[:_SHOWN_CHARS].decode("utf-8", "replace").split())
        return ErrorBody(message=text)


def read_answer(status: int, headers: Mapping[str, str], body: bytes, *, sent: int) -> Answer:
    """Say how to react to an answer to a request of ``sent`` events.

    Only a 202 is a promise: a 200 comes from something that is no gateway.
    """
    if status == _ACCEPTED:
        return Accepted()
    error = read_error(body)
    reason = f"the server answered {status}: {error.message or 'no message'}"
    if status in _TRY_AGAIN:
        return TryAgain(reason, _seconds(headers.get("Retry-After")))
    if status in _BAD_KEY:
        return GiveUp(f"{reason}; check --key (or TALLY_API_KEY, or API_KEY in client.env)")
    if status in _CONTENT:
        listed = error.details.errors if error.details else []
        reasons = {bad.index: _named(bad) for bad in listed if 0 <= bad.index < sent}
        return BadEvents(reasons) if reasons else BadRequest(error.message or reason)
    if location := headers.get("Location"):
        return GiveUp(f"{reason}; it points to {location}: give that server as --url")
    return GiveUp(f"{reason}; is --url (or TALLY_URL) the address of a Tally gateway?")


def _named(bad: _BadEvent) -> tuple[str, str]:
    """Field and reason; the gateway's text begins with the field, so that it can stand alone."""
    field = bad.field or ""
    return field, bad.message.removeprefix(f"{field}: ")


def _seconds(retry_after: str | None) -> float | None:
    """The gateway writes seconds; a date, which a proxy may write, is not waited for."""
    if retry_after is None or not retry_after.strip().isascii():
        return None
    return float(retry_after) if retry_after.strip().isdigit() else None
