"""Which bodies may be read as JSON: those that say so, and those that say nothing on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.errors import ApiError

JSON: Final = "application/json"
# What tools put there when nobody told them: curl -d, fetch and others with a text, and with bytes.
_SAID_BY_NOBODY: Final = frozenset(
    {"", "application/x-www-form-urlencoded", "text/plain", "application/octet-stream"}
)
_READ: Final = frozenset({JSON, "text/json"}) | _SAID_BY_NOBODY


def media_type_of(headers: Mapping[str, str]) -> str:
    """Give the type of a body without its parameters, in lower case; "" if there is none."""
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def check_json(headers: Mapping[str, str], also: str = "") -> None:
    """Raise ApiError, a 415, for a body that says it is something else than JSON.

    One that was sent without a thought for its type is read, since nothing but JSON gets further:
    to refuse it would only stop senders that work. ``also`` names what else is read there.
    """
    media_type = media_type_of(headers)
    if media_type not in _READ and not media_type.endswith("+json"):
        raise ApiError(
            415,
            "http_client_error",
            f"Content-Type {media_type[:64]!r} is not read here; send {JSON}{also}",
        )
