"""From what a dialect read to an event: what every dialect checks and fills in. Pure but for the
IDs it makes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import msgspec

from ingest_gateway.settings import Settings
from schemas.event import (
    Event,
    InvalidEvent,
    check_age,
    check_properties,
    format_timestamp,
    idempotent_event_id,
    new_event_id,
    parse_timestamp,
)

_NO_PROPERTIES = msgspec.Raw(b"{}")


class Accepted(NamedTuple):
    """Events ready for the log, and which IDs among them we made (a sender can't know those)."""

    events: list[Event]
    made_ids: list[str]


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose request it is, when it came, and what is to be known of it to read its body."""

    tenant: str
    now: datetime
    settings: Settings
    idempotency_key: str | None = None
    made_ids: list[str] = field(default_factory=list)

    def make_id(self, index: int) -> str:
        """Make the ID of the event at a place of the request: the same one again in a retry under
        the same Idempotency-Key.
        """
        if self.idempotency_key is None:
            event_id = new_event_id()
        else:
            event_id = idempotent_event_id(self.tenant, self.idempotency_key, index)
        self.made_ids.append(event_id)
        return event_id

    def moment(self, text: str | None, name: str) -> str:
        """Give a timestamp in the log's form, the present for None. Raises InvalidEvent."""
        if text is None:
            return format_timestamp(self.now)
        settings = self.settings
        try:
            moment = parse_timestamp(text)
            check_age(
                moment, self.now, past=settings.max_event_age, future=settings.max_event_ahead
            )
        except ValueError as error:
            raise InvalidEvent(name, str(error)) from None
        return format_timestamp(moment)


def checked_properties(properties: msgspec.Raw, name: str) -> msgspec.Raw:
    """Give properties within the limits; those that were left out, or null, are ``{}``.

    Raises InvalidEvent.
    """
    raw = bytes(properties)
    if raw in (b"", b"null"):
        return _NO_PROPERTIES
    try:
        check_properties(raw)
    except ValueError as error:
        raise InvalidEvent(name, str(error)) from None
    return properties
