"""What the gateway's OpenAPI document says of each call. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from schemas import cloudevents, sequence
from schemas.cloudevents import CloudEvent
from schemas.content_type import JSON
from schemas.dialects import CLOUDEVENTS, SEQUENCE
from schemas.event import MAX_BODY_BYTES, MAX_BULK_EVENTS, MAX_EVENT_ID_CHARS, MAX_NAME_CHARS
from schemas.flexprice import BulkAnswer, BulkIngest, IngestAnswer, IngestEvent
from schemas.json_schema import Schema
from schemas.openapi import Answer, Content, Operation, Parameter
from schemas.operator_operations import checks, own_document
from schemas.request_id import REQUEST_ID

TITLE: Final = "Tally: sending"
DESCRIPTION: Final = f"""Usage events in three dialects: FlexPrice's, Sequence's, CloudEvents 1.0.

An answer of 2xx means that the events are safe: they will be readable within a second or so. One
event ID is one event, for ever: the last send of it wins, so **make your own IDs and send a retry
under the same ones**. After a 503 `details.outcome` is `not_stored`, or `unknown`: they may still
land.

Bodies may come compressed (`Content-Encoding`) and hold up to {MAX_BODY_BYTES >> 20} MiB decoded;
NDJSON and arrays of a bulk are read as they come and may be of any size.
"""

_ENCODED: Final = "May be compressed: `Content-Encoding` gzip, deflate or zstd."
_REFUSALS: Final = (400, 408, 413, 415, 417, 429)
_TIME: Final = "2025-03-20T15:04:05.678Z"
_HEADERS: Final = {REQUEST_ID: "The request's ID, which the logs have too."}

_IDEMPOTENCY: Final = Parameter(
    "Idempotency-Key",
    "header",
    "For events without an ID of their own: the IDs are made of this key, so the same request sent "
    "again under the same key counts nothing twice. They go by each event's place in the request: "
    "what was mended or left over goes with the whole upload again, every event at its place, or "
    "alone under another key. 1 to 255 characters.",
    {"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
)

_VERSION: Final = Parameter(
    sequence.VERSION_HEADER,
    "header",
    "The version of the dialect.",
    {"type": "string", "enum": list(sequence.VERSIONS)},
)

_PARTIAL: Final = Parameter(
    "partial",
    "query",
    "Whether the good events are accepted although others are bad; the answer then lists each "
    "refused one with its line or index, code and reason. Those that were sent under an "
    "`Idempotency-Key` go, mended, under another one. Without it: false.",
    {"type": "boolean"},
)

_EVENT: Final = {
    "event_name": "api.request",
    "external_customer_id": "acme",
    "event_id": "req-8f14e45f",
    "timestamp": _TIME,
    "source": "edge-1",
    "properties": {"region": "eu", "bytes": 512},
}
_SMALLEST: Final = {"event_name": "api.request", "external_customer_id": "acme"}
_TWO_LINES: Final = "".join(f"{json.dumps(event)}\n" for event in (_EVENT, _SMALLEST))
_USAGE_EVENT: Final = {
    "customerEventId": "req-8f14e45f",
    "customerAlias": "acme",
    "eventType": "api.request",
    "eventTimestamp": _TIME,
    "eventProperties": {"region": "eu", "bytes": 512},
}
_CLOUD_EVENT: Final = {
    "specversion": "1.0",
    "id": "8f14e45f",
    "source": "edge-1",
    "type": "api.request",
    "subject": "acme",
    "time": _TIME,
    "data": {"region": "eu", "bytes": 512},
}


def _examples(**values: Any) -> Mapping[str, Any]:
    return values


_EVENTS: Final[Schema] = {
    "type": "array",
    "items": {"$ref": "#/components/schemas/IngestEvent"},
    "minItems": 1,
}
_BATCH: Final[Schema] = {
    "type": "array",
    "items": {"$ref": "#/components/schemas/CloudEvent"},
    "minItems": 1,
    "maxItems": MAX_BULK_EVENTS,
}

# What is checked after CloudEvent is decoded.
AMENDMENTS: Final[Mapping[str, Schema]] = {
    "CloudEvent": {
        "description": "The event ID is the JSON text of `[source, id]`, of at most "
        f"{MAX_EVENT_ID_CHARS} characters. `subject` is the customer, `type` the event's name, "
        "`data` its properties. Extension attributes are taken, but not kept.",
        "required": ["specversion", "id", "source", "type", "subject"],
        "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        "propertyNames": {"pattern": "^([a-z0-9]+|data_base64)$"},
        "properties": {
            "subject": {"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARS},
            "datacontenttype": {
                "type": ["string", "null"],
                "description": "JSON: application/json, or a type that ends in +json.",
                "pattern": r"^application/([a-z]+\+)?json$",
            },
        },
    }
}

OPERATIONS: Final = (
    Operation(
        "post",
        "/v1/events",
        "ingestEvent",
        "Send one event",
        "FlexPrice",
        [
            Answer(202, "The event is safe.", {JSON: Content(IngestAnswer)}, _HEADERS),
        ],
        parameters=(_IDEMPOTENCY,),
        body={JSON: Content(IngestEvent, _examples(full=_EVENT, smallest=_SMALLEST))},
        body_description=_ENCODED,
        refusals=_REFUSALS,
    ),
    Operation(
        "post",
        "/v1/events/bulk",
        "ingestEvents",
        "Send many events",
        "FlexPrice",
        [
            Answer(202, "The events are safe.", {JSON: Content(BulkAnswer)}, _HEADERS),
        ],
        description=f"""An object with 1 to {MAX_BULK_EVENTS} `events` is taken whole or not at
all: a 400 names every bad event by its index, in `details.errors`.

An array, or NDJSON with an event a line, is taken as it comes, whatever its size. At a bad event it
stops: what came before is accepted (`details.accepted`). Then go on from `details.line` (or
`index`); under an `Idempotency-Key`, send the whole upload again. After a 503 `unknown`, the events
of `details.made_for` may be in the log under the IDs of `details.event_ids`: send them again under
those. NDJSON is also called `application/ndjson`, `application/jsonl` or
`application/json-lines`.""",
        parameters=(_PARTIAL, _IDEMPOTENCY),
        body={
            JSON: Content(
                (BulkIngest, _EVENTS), _examples(two={"events": [_EVENT, _SMALLEST]}, bare=[_EVENT])
            ),
            "application/x-ndjson": Content(
                {"type": "string", "format": "ndjson"}, _examples(two=_TWO_LINES)
            ),
        },
        body_description=_ENCODED,
        refusals=_REFUSALS,
    ),
    Operation(
        "post",
        sequence.PATH,
        "createUsageEvent",
        "Send one event",
        "Sequence",
        [
            Answer(
                201,
                "The event is safe; `id` is new at each send.",
                {JSON: Content(sequence.UsageEvent)},
                _HEADERS,
            ),
        ],
        description="`customerEventId` is the event ID, `customerAlias` the customer, `eventType` "
        "the event's name.",
        parameters=(_VERSION, _IDEMPOTENCY),
        body={JSON: Content(sequence.CreateUsageEvent, _examples(full=_USAGE_EVENT))},
        body_description=_ENCODED,
        refusals=_REFUSALS,
        dialect=SEQUENCE,
    ),
    Operation(
        "post",
        cloudevents.PATH,
        "ingestCloudEvents",
        "Send CloudEvents",
        "CloudEvents",
        [Answer(204, "The events are safe.", headers=_HEADERS)],
        description=f"Structured, or a batch of 1 to {MAX_BULK_EVENTS}, all or nothing. In binary "
        "mode the attributes are headers `ce-*`, percent-encoded, and the body is `data`.",
        parameters=(_IDEMPOTENCY,),
        body={
            cloudevents.STRUCTURED: Content(CloudEvent, _examples(one=_CLOUD_EVENT)),
            cloudevents.BATCH: Content(_BATCH, _examples(two=[_CLOUD_EVENT, _CLOUD_EVENT])),
            JSON: Content({"anyOf": [{"$ref": "#/components/schemas/CloudEvent"}, _BATCH]}),
        },
        body_description=_ENCODED,
        refusals=_REFUSALS,
        dialect=CLOUDEVENTS,
    ),
    *checks("/ingest/", "gateway", ("log",)),
    own_document("/ingest/openapi.json", "gatewayDocument"),
)
# Of a gateway that stands alone.
ALONE: Final = (*checks("/", "service", ("log",)), own_document("/openapi.json", "document"))
