"""Parameters of a URL, as every dialect reads them: one value each, typed, or a 400 that names the
one at fault. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from schemas.errors import ApiError, validation_error
from schemas.event import parse_timestamp

Choice = TypeVar("Choice", bound=StrEnum)


def single_values(parameters: Iterable[tuple[str, str]], known: Iterable[str]) -> Mapping[str, str]:
    """Take each parameter of a URL once. Raises ApiError for one that is unknown, repeated or
    empty: a filter that is silently not applied makes a wrong answer.
    """
    values: dict[str, str] = {}
    for name, value in parameters:
        if name not in known:
            raise no_parameter(name)
        if name in values:
            raise at_fault(name, "is given more than once")
        if not value:
            raise at_fault(name, "is empty; leave it out instead")
        values[name] = value
    return values


# In a URL a '+' stands for a space, so "+02:00" arrives as " 02:00".
_PLUS_THAT_BECAME_A_SPACE = re.compile(
    r"([T ]\d\d(?::?\d\d){0,2}(?:[.,]\d+)?) (\d\d(?::?\d\d)?)$", re.ASCII | re.IGNORECASE
)


def url_time(text: str) -> str:
    """Give a time of a URL with the '+' of its offset."""
    return _PLUS_THAT_BECAME_A_SPACE.sub(r"\1+\2", text)


def moment(name: str, text: str | None) -> datetime | None:
    """Read a time, if there is one. Raises ApiError, a 400."""
    if text is None:
        return None
    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise at_fault(name, str(error)) from None


def integer(name: str, text: str) -> int:
    """Read an integer. Raises ApiError, a 400."""
    if re.fullmatch(r"-?[0-9]{1,4000}", text) is None:
        raise at_fault(name, f"must be an integer, not {text[:64]!r}")
    return int(text)


def boolean(name: str, text: str) -> bool:
    """Read true or false. Raises ApiError, a 400."""
    if text not in ("true", "false", "1", "0"):
        raise at_fault(name, f"must be true or false, not {text[:64]!r}")
    return text in ("true", "1")


def choice(name: str, text: str | None, default: Choice) -> Choice:
    """Read one of the words of ``default``'s kind. Raises ApiError, a 400 that lists them."""
    if text is None:
        return default
    for word in type(default):
        if text == word.value:
            return word
    allowed = " or ".join(word.value for word in type(default))
    raise at_fault(name, f"must be {allowed}, not {text[:64]!r}")


def at_fault(name: str, reason: str) -> ApiError:
    """A 400 that names the parameter."""
    return validation_error(f"{name}: {reason}", field=name)


def no_parameter(name: str) -> ApiError:
    """A 400 for a name that no parameter has: quoted, as values are, since it may be anything."""
    name = name[:64]
    return validation_error(f"{name!r} is not a parameter of this call", field=name)
