"""The HTTP bodies of FlexPrice's dialect: what is read, what is answered, how errors look.

Source: FlexPrice's published description of ``/v1/events``; where it is silent, README.md.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from schemas.errors import ApiError
from schemas.event import EventId, Name, OptionalName

GET_MAX_PAGE_SIZE: Final = 50
QUERY_MAX_PAGE_SIZE: Final = 1000
DEFAULT_PAGE_SIZE: Final = 50


class IngestEvent(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The body of ``POST /v1/events``. ``properties`` stays the bytes that were sent.

    A field that we don't know is refused: a misspelt ``timestamp`` or ``event_id`` that is
    dropped without a word makes a wrong bill.
    """

    event_name: Name
    external_customer_id: Name
    event_id: EventId | None = None
    customer_id: OptionalName | None = None
    source: OptionalName | None = None
    timestamp: str | None = None
    properties: msgspec.Raw = msgspec.Raw()


class BulkIngest(msgspec.Struct):
    """The body of ``POST /v1/events/bulk``."""

    events: list[IngestEvent]


class RawBulkIngest(msgspec.Struct):
    """The same body with its events unread, to find out which of them are bad."""

    events: list[msgspec.Raw]


class EventsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/events/query``; ``GET /v1/events`` takes the same, as text.

    A parameter that we don't know is refused: a filter that is silently not applied makes a
    wrong answer.
    """

    external_customer_id: str | None = None
    event_name: str | None = None
    event_id: str | None = None
    source: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    property_filters: dict[str, list[str]] | None = None
    page_size: int | None = None
    offset: int | None = None
    sort: str | None = None
    order: str | None = None
    count_total: bool | None = None
    iter_first_key: str | None = None
    iter_last_key: str | None = None


class ListedEvent(msgspec.Struct):
    """An event as a list and a look-up answer it: every key is there, null if empty."""

    id: str
    event_name: str
    external_customer_id: str
    customer_id: str | None
    timestamp: str
    properties: msgspec.Raw
    source: str | None
    environment_id: str


class LookedUpEvent(ListedEvent):
    """A look-up in the form of the published client, which looks for the event in ``event``."""

    event: ListedEvent


class EventsPage(msgspec.Struct):
    """The answer to a list. ``has_more`` looks in the direction of travel."""

    events: list[ListedEvent]
    has_more: bool
    iter_first_key: str | None
    iter_last_key: str | None
    total_count: int | None
    offset: int


def error_body(error: ApiError) -> bytes:
    """Write a refusal: the flat error, and beside it what newer clients read."""
    answer: dict[str, Any] = {
        "code": error.code,
        "message": str(error),
        "http_status_code": error.status,
    }
    if error.details is not None:
        answer["details"] = error.details
    answer["success"] = False
    answer["error"] = {"message": str(error), "internal_error": None}
    return msgspec.json.encode(answer)
