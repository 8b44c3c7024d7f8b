"""JSON bodies into structs, or a 400 that says which field is at fault, in words. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from schemas.errors import validation_error, why_malformed

T = TypeVar("T")

_MAX_FIELD_CHARS: Final = 100  # a field that we don't know may have any name

_PATH = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_EMPTY = "Expected `str` of length >= 1"
_TOO_LONG = re.compile(r"Expected `str` of length <= (\d+)")
_MISSING = re.compile(r"Object missing required field `(.*)`")


def decode(body: bytes, decoder: Callable[[bytes], T]) -> T:
    """Decode a body. Raises ApiError, a 400 that says what is wrong and where."""
    try:
        body.decode()
        return decoder(body)
    except UnicodeDecodeError as error:
        raise validation_error(f"the body is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise validation_error("the body is nested too deep") from None
    except msgspec.ValidationError as error:
        field, reason = field_and_reason(error)
        message = f"{field}: {reason}" if field else reason
        raise validation_error(message, field=field or None) from None
    except msgspec.DecodeError as error:
        raise validation_error(why_malformed(body, str(error))) from None


def field_and_reason(error: msgspec.ValidationError) -> tuple[str, str]:
    """Take msgspec's text apart: the field's path ("" for the body itself) and what is wrong.

    A long path is cut, and one with characters that don't print is escaped.
    """
    text, path = str(error), ""
    if placed := _PATH.fullmatch(text):
        text, path = placed.groups()
    for pattern, reason in ((_MISSING, "is required"), (_UNKNOWN, "is no field of an event")):
        if named := pattern.fullmatch(text):
            return _shown(".".join(filter(None, (path, named[1])))), reason
    if text == _EMPTY:
        return _shown(path), "must not be empty"
    return _shown(path), _TOO_LONG.sub(r"must be at most \1 characters long", text)


def _shown(path: str) -> str:
    path = path[:_MAX_FIELD_CHARS]
    return path if path.isprintable() else ascii(path)[1:-1]
