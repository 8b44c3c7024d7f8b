"""What is wrong with events of a bulk: a list for an answer, and no longer than an answer may be.
Pure.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from schemas.errors import ApiError
from schemas.event import MAX_BULK_EVENTS

MAX_REFUSED: Final = 10_000
MAX_LIST_BYTES: Final = 2 << 20  # as an answer writes it: what a sender does not read, we hold
_MAX_FIELD_CHARS: Final = 100  # a field that we don't know may have any name
_MAX_MESSAGE_CHARS: Final = 300
_AROUND_BYTES: Final = 70  # of an entry: its keys, its code, its place


class Refused(NamedTuple):
    """An event that can't be taken: its place in the upload, from 0, the field ("" for the event
    itself) and what is wrong.
    """

    place: int
    field: str
    message: str


class RefusedEvents:
    """Collects them in order, until the list is full.

    ``over`` is the first event that has no place in it any more: whoever reads stops there.
    """

    def __init__(self, max_events: int = MAX_REFUSED, max_bytes: int = MAX_LIST_BYTES) -> None:
        self.listed: list[Refused] = []
        self.over: Refused | None = None
        self._max_events = max_events
        self._left_bytes = max_bytes

    def add(self, place: int, field: str, message: str) -> None:
        """Take one more. Long fields and messages are cut."""
        message = message.removeprefix(": ")[:_MAX_MESSAGE_CHARS]
        refused = Refused(place, field[:_MAX_FIELD_CHARS], message)
        self._left_bytes -= len(msgspec.json.encode(refused)) + _AROUND_BYTES
        if len(self.listed) >= self._max_events or self._left_bytes < 0:
            self.over = refused
        else:
            self.listed.append(refused)


class BadEvents(ApiError):  # noqa: N818 (names what was sent)
    """The 400 of a bulk that is all or nothing; so many of its events were ``looked_at``."""

    def __init__(self, message: str, looked_at: int, *, details: dict[str, Any]) -> None:
        super().__init__(400, "validation_error", message, details=details)
        self.looked_at = looked_at


def bad_events(refused: RefusedEvents, count: int, name: str) -> BadEvents:
    """Make the 400 of ``count`` events, some of which were refused; in its ``details.errors`` each
    has its ``index``, the ``field`` and a ``message``. ``name`` is what the array is called.
    """
    first = refused.listed[0]
    number, rest = str(len(refused.listed)), ""
    if refused.over is not None:
        number = f"more than {number}"
        rest = f"; details.errors holds no more than those before {name}[{refused.over.place}]"
    errors = [
        {"index": place, "field": field, "message": message}
        for place, field, message in refused.listed
    ]
    return BadEvents(
        f"{number} of {count} events are bad and none was taken; "
        f"the first is {name}[{first.place}]: {first.message}{rest}",
        count,
        details={"errors": errors},
    )


def check_count(count: int, name: str, *, field: str | None = None) -> None:
    """Raise `BadEvents` unless a bulk that is all or nothing may hold so many events."""
    if not 1 <= count <= MAX_BULK_EVENTS:
        shown = f"{MAX_BULK_EVENTS + 1} events or more" if count else "0 events"
        raise BadEvents(
            f"{name} holds {shown}, 1 to {MAX_BULK_EVENTS} are allowed",
            min(max(count, 1), MAX_BULK_EVENTS + 1),
            details={} if field is None else {"field": field},
        )
