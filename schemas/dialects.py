"""The three dialects that are spoken, and which of them a path belongs to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from schemas import cloudevents, flexprice, sequence
from schemas.errors import ApiError


class Dialect(NamedTuple):
    """How a dialect refuses. ``challenge`` is what a 401 asks for (WWW-Authenticate),
    ``error_type`` the struct that ``error_body`` writes.
    """

    name: str
    content_type: str
    challenge: str
    error_body: Callable[[ApiError], bytes]
    error_type: type[msgspec.Struct]


FLEXPRICE: Final = Dialect(
    "flexprice", "application/json", "Bearer", flexprice.error_body, flexprice.FlexPriceError
)
SEQUENCE: Final = Dialect(
    "sequence",
    "application/json",
    'Basic realm="Tally"',
    sequence.error_body,
    sequence.SequenceError,
)
CLOUDEVENTS: Final = Dialect(
    "cloudevents", cloudevents.PROBLEM, "Bearer", cloudevents.error_body, cloudevents.Problem
)

_BY_PATH: Final = {sequence.PATH: SEQUENCE, cloudevents.PATH: CLOUDEVENTS}


def dialect_of(path: str) -> Dialect:
    """Give the dialect of a path; what belongs to no other is FlexPrice's."""
    return _BY_PATH.get(path, FLEXPRICE)
