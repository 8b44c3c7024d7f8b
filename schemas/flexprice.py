"""The HTTP bodies of FlexPrice's dialect: what is read, what is answered, how errors look.

Source: FlexPrice's published description of ``/v1/events``; where it is silent, README.md.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from schemas.errors import ApiError, Code, Details
from schemas.event import (
    MAX_BULK_EVENTS,
    EventId,
    Name,
    OptionalName,
    Properties,
    Timestamp,
)

GET_MAX_PAGE_SIZE: Final = 50
QUERY_MAX_PAGE_SIZE: Final = 1000
DEFAULT_PAGE_SIZE: Final = 50
# Each key costs a look into the JSON of every row, each value a comparison.
MAX_FILTER_KEYS: Final = 32
MAX_FILTER_VALUES: Final = 1000
MAX_OFFSET: Final = 10**9  # far beyond what anyone pages to by offset; a cursor goes on for ever
SORTS: Final = ("timestamp", "event_name")
ORDERS: Final = ("asc", "desc")


def _told(description: str, **schema: Any) -> msgspec.Meta:
    """What documents say of a field, beyond what its decoder checks."""
    return msgspec.Meta(description=description, extra_json_schema=schema or None)


class IngestEvent(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The body of ``POST /v1/events``. ``properties`` stays the bytes that were sent.

    A field that we don't know is refused: a misspelt ``timestamp`` or ``event_id`` that is
    dropped without a word makes a wrong bill.
    """

    event_name: Name
    external_customer_id: Name
    event_id: Annotated[
        EventId | None,
        _told(
            "One ID, one event, for ever: the last send wins. Make your own, and send the same one "
            "again in a retry. Without it a UUIDv7 is made."
        ),
    ] = None
    customer_id: OptionalName | None = None
    source: OptionalName | None = None
    timestamp: Timestamp | None = None
    # A factory only since no schema can be made of a Raw that is a default.
    properties: Properties = msgspec.field(default_factory=msgspec.Raw)


class BulkIngest(msgspec.Struct):
    """The body of ``POST /v1/events/bulk``."""

    events: Annotated[
        list[IngestEvent],
        _told("All or nothing.", minItems=1, maxItems=MAX_BULK_EVENTS),
    ]


class RawBulkIngest(msgspec.Struct):
    """The same body with its events unread, to find out which of them are bad."""

    events: list[msgspec.Raw]


class EventsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/events/query``; ``GET /v1/events`` takes the same, as text.

    A parameter that we don't know is refused: a filter that is silently not applied makes a
    wrong answer. To JSON `2.0` is the same number as `2`, so both are read.
    """

    external_customer_id: Annotated[str | None, _told("Of this customer.", minLength=1)] = None
    event_name: Annotated[str | None, _told("Of this name.", minLength=1)] = None
    event_id: Annotated[
        str | None, _told("Of this ID. Then start_time has no default.", minLength=1)
    ] = None
    source: Annotated[str | None, _told("Of this source.", minLength=1)] = None
    start_time: Annotated[
        str | None,
        _told(
            "The first moment, inclusive: ISO 8601 with an offset. Without it: 7 days before the "
            "end, unless the service is set otherwise.",
            format="date-time",
        ),
    ] = None
    end_time: Annotated[
        str | None,
        _told(
            "The last moment, inclusive: ISO 8601 with an offset. Without it: now.",
            format="date-time",
        ),
    ] = None
    property_filters: Annotated[
        dict[str, Annotated[list[str], _told("Any of these.", minItems=1)]] | None,
        _told(
            "All of the keys, any of a key's values. A value is compared with the text of the "
            'property\'s value: `200` is found by 200 and by "200". `a.b` is the key `a.b`, if '
            "the event has one, else `b` inside `a`.",
            maxProperties=MAX_FILTER_KEYS,
        ),
    ] = None
    page_size: Annotated[
        float | None,
        _told(
            f"Without it: {DEFAULT_PAGE_SIZE}. At most {GET_MAX_PAGE_SIZE} on GET, "
            f"{QUERY_MAX_PAGE_SIZE} on POST; what is above is taken as that.",
            minimum=1,
            multipleOf=1,
        ),
    ] = None
    offset: Annotated[
        float | None,
        _told(
            "So many events are left out. Not with a cursor.",
            minimum=0,
            maximum=MAX_OFFSET,
            multipleOf=1,
        ),
    ] = None
    sort: Annotated[str | None, _told("Without it: timestamp.", enum=[*SORTS, None])] = None
    order: Annotated[str | None, _told("Without it: desc.", enum=[*ORDERS, None])] = None
    count_total: Annotated[
        bool | None,
        _told("Whether total_count is counted. Without it: not on GET, but on POST."),
    ] = None
    iter_first_key: Annotated[
        str | None,
        _told("That of a page: gives the page just before it.", format="cursor"),
    ] = None
    iter_last_key: Annotated[
        str | None,
        _told("That of a page: gives the page just after it.", format="cursor"),
    ] = None


class LookUpQuery(msgspec.Struct):
    """The parameters of ``GET /v1/events/lookup``: an ID, and what the event must fit."""

    id: Annotated[str, _told("The event's ID.", minLength=1)]
    external_customer_id: Annotated[
        str | None, _told("Of this customer, or there is no such event.", minLength=1)
    ] = None
    start_time: Annotated[
        str | None, _told("Not before, or there is no such event.", format="date-time")
    ] = None
    end_time: Annotated[
        str | None, _told("Not after, or there is no such event.", format="date-time")
    ] = None


class IngestAnswer(msgspec.Struct):
    """The event is safe. Every value is text: the published client rejects anything else."""

    message: str
    event_id: EventId


class RefusedEvent(msgspec.Struct):
    """An event of a bulk that was refused: its line, from 1, or its index in an array, from 0."""

    code: Code
    field: str
    message: str
    line: int | msgspec.UnsetType = msgspec.UNSET
    index: int | msgspec.UnsetType = msgspec.UNSET


class BulkAnswer(msgspec.Struct):
    """The events are safe; with ``partial``, those that were accepted."""

    message: str
    accepted: int | msgspec.UnsetType = msgspec.UNSET
    refused: int | msgspec.UnsetType = msgspec.UNSET
    errors: list[RefusedEvent] | msgspec.UnsetType = msgspec.UNSET


class ListedEvent(msgspec.Struct):
    """An event as a list and a look-up answer it: every key is there, null if empty."""

    id: str
    event_name: str
    external_customer_id: str
    customer_id: str | None
    timestamp: Annotated[str, _told("In UTC, to the microsecond.", format="date-time")]
    properties: Annotated[msgspec.Raw, _told("As they were sent.", type="object")]
    source: str | None
    environment_id: Annotated[str, _told("The tenant, whom the API key tells.")]


class LookedUpEvent(ListedEvent):
    """A look-up in the form of the published clients, which look for the event in ``event``.

    The TypeScript one insists on the other keys, which tell of FlexPrice's billing: always null.
    """

    event: ListedEvent
    status: None = None
    debug_tracker: None = None
    processed_events: None = None


class EventsPage(msgspec.Struct):
    """The answer to a list. ``has_more`` looks in the direction of travel."""

    events: list[ListedEvent]
    has_more: bool
    iter_first_key: str | None
    iter_last_key: str | None
    total_count: int | None
    offset: int


class ErrorMessage(msgspec.Struct):
    """What newer versions of the published client read of an error."""

    message: str
    internal_error: str | None


class FlexPriceError(msgspec.Struct):
    """A refusal: the flat error, and beside it what newer clients read."""

    code: Code
    message: str
    http_status_code: int
    success: bool
    error: ErrorMessage
    details: Details | msgspec.UnsetType = msgspec.UNSET


def error_body(error: ApiError) -> bytes:
    """Write a refusal."""
    return msgspec.json.encode(
        FlexPriceError(
            code=error.code,
            message=str(error),
            http_status_code=error.status,
            success=False,
            error=ErrorMessage(str(error), None),
            details=msgspec.UNSET if error.details is None else dict(error.details),
        )
    )
