"""What the query service's OpenAPI document says of each call. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from query_api.sequence_request import UsageSort
from schemas import sequence
from schemas.content_type import JSON
from schemas.dialects import SEQUENCE
from schemas.flexprice import (
    EventsPage,
    EventsQuery,
    ListedEvent,
    LookedUpEvent,
    LookUpQuery,
)
from schemas.json_schema import Schema
from schemas.openapi import Answer, Content, Operation, Parameter, parameters_of
from schemas.operator_operations import checks, own_document
from schemas.request_id import REQUEST_ID

TITLE: Final = "Tally: reading"
DESCRIPTION: Final = """Usage events as they stand: each event ID once, as it was last sent.

To walk over pages, send `iter_last_key` of a page with the same question, while `has_more` is true;
`iter_first_key` goes back. A walk meets every event that existed when it began, and was not sent
again meanwhile, exactly once. A parameter that a call does not have is a 400: a filter that is
silently not applied makes a wrong answer.
"""

_REFUSALS: Final = (400, 422)
_HEADERS: Final = {REQUEST_ID: "The request's ID, which the logs have too."}

# A URL writes these in another way than JSON.
_IN_A_URL: Final[Mapping[str, Schema]] = {
    "property_filters": {
        "type": "string",
        "format": "property-filters",
        "description": "`region:eu,us;bytes:512`: any of the values, all of the keys. `\\` escapes "
        "a separator. A value is compared with the text of the property's value; `a.b` is the key "
        "`a.b`, if the event has one, else `b` inside `a`.",
    },
}


_TEXT: Final[Schema] = {"type": "string", "minLength": 1}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_CURSOR: Final[Schema] = {"type": "string", "format": "cursor"}


def _in_query(name: str, description: str, schema: Schema) -> Parameter:
    return Parameter(name, "query", description, schema)


_USAGE_EVENTS: Final = (
    _in_query("after", "A cursor: gives the page after it. Not with `before`.", _CURSOR),
    _in_query("before", "A cursor: gives the page before it.", _CURSOR),
    _in_query(
        "limit",
        f"How many events a page holds; without it {sequence.DEFAULT_LIMIT}.",
        {"type": "integer", "minimum": 1, "maximum": sequence.MAX_LIMIT},
    ),
    _in_query(
        "offset",
        "So many events are left out, from the cursor on if there is one.",
        {"type": "integer", "minimum": 0, "maximum": sequence.MAX_OFFSET},
    ),
    _in_query(
        "sortBy",
        "Without it: id, which is creation.",
        {"type": "string", "enum": [sort.value for sort in UsageSort]},
    ),
    _in_query(
        "sortOrder", "Without it: DESC.", {"type": "string", "enum": ["ASC", "DESC", "asc", "desc"]}
    ),
    _in_query("customerAlias", "Any of these customers.", {"type": "array", "items": _TEXT}),
    _in_query(
        "unmappedAliasesOnly",
        "Tally maps no aliases, so each is unmapped: changes nothing.",
        {"type": "boolean"},
    ),
    _in_query("eventType", "Of this name.", _TEXT),
    _in_query("eventId", "The `customerEventId`, or else the `id`.", _TEXT),
    _in_query("eventTimestampAfter", "After this moment, exclusive.", _TIME),
    _in_query("eventTimestampBefore", "Before this moment, exclusive.", _TIME),
)

OPERATIONS: Final = (
    Operation(
        "get",
        "/v1/events",
        "listEvents",
        "A page of events",
        "FlexPrice",
        [Answer(200, "The page.", {JSON: Content(EventsPage)}, _HEADERS)],
        description="Newest first, unless asked otherwise.",
        parameters=parameters_of(EventsQuery, _IN_A_URL),
        refusals=_REFUSALS,
    ),
    Operation(
        "post",
        "/v1/events/query",
        "queryEvents",
        "A page of events, asked in JSON",
        "FlexPrice",
        [Answer(200, "The page.", {JSON: Content(EventsPage)}, _HEADERS)],
        body={
            JSON: Content(
                EventsQuery,
                {
                    "newest": {"external_customer_id": "acme", "page_size": 100},
                    "filtered": {
                        "event_name": "api.request",
                        "start_time": "2025-03-01T00:00:00Z",
                        "property_filters": {"region": ["eu", "us"]},
                        "count_total": False,
                    },
                },
            )
        },
        body_description="May be compressed: `Content-Encoding` gzip, deflate or zstd.",
        refusals=(*_REFUSALS, 408, 413, 415, 417),
    ),
    Operation(
        "get",
        "/v1/events/lookup",
        "lookUpEvent",
        "One event, by an ID with any characters",
        "FlexPrice",
        [
            Answer(
                200,
                "The event. Where `external_customer_id` was given it is in `event`, too.",
                {JSON: Content((LookedUpEvent, ListedEvent))},
                _HEADERS,
            )
        ],
        parameters=parameters_of(LookUpQuery),
        refusals=(*_REFUSALS, 404),
    ),
    Operation(
        "get",
        "/v1/events/{id}",
        "getEvent",
        "One event",
        "FlexPrice",
        [
            Answer(
                200, "The event, and the same in `event`.", {JSON: Content(LookedUpEvent)}, _HEADERS
            )
        ],
        parameters=(
            Parameter(
                "id", "path", "The event's ID.", {"type": "string", "minLength": 1}, required=True
            ),
        ),
        refusals=(*_REFUSALS, 404),
    ),
    Operation(
        "get",
        sequence.PATH,
        "listUsageEvents",
        "A page of events",
        "Sequence",
        [Answer(200, "The page.", {JSON: Content(sequence.UsageEventsPage)}, _HEADERS)],
        description="Newest first by their creation, unless asked otherwise. To walk, send "
        "`pagination.after` of a page as `after`, with the same question; `before` goes back.",
        parameters=(
            *_USAGE_EVENTS,
            Parameter(
                sequence.VERSION_HEADER,
                "header",
                "The version of the dialect.",
                {"type": "string", "enum": list(sequence.VERSIONS)},
            ),
        ),
        refusals=_REFUSALS,
        dialect=SEQUENCE,
    ),
    *checks("/query/", "query", ("clickhouse", "keys")),
    own_document("/query/openapi.json", "queryDocument"),
    Operation(
        "get",
        "/docs",
        "docs",
        "The page that shows this document",
        "Operators",
        [Answer(200, "The page.", {"text/html": Content({"type": "string"})})],
        needs_key=False,
    ),
)
# Of a query service that stands alone.
ALONE: Final = (
    *checks("/", "service", ("clickhouse", "keys")),
    own_document("/openapi.json", "document"),
)
