"""The HTTP bodies of CloudEvents 1.0 as OpenMeter's clients send them, and how errors look.

Source: the CloudEvents specification 1.0.2 with its JSON format and HTTP binding; RFC 9457 for
the errors, which is what those clients read.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import quote

import msgspec

from schemas.errors import ApiError, Code, Details
from schemas.event import EventId, Name, OptionalName, Properties, Timestamp
from schemas.request_id import current_request_id

PATH: Final = "/api/v1/events"
PROBLEM: Final = "application/problem+json"
STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
SPECVERSION: Final = "1.0"


class CloudEvent(msgspec.Struct, gc=False):
    """An event as it is sent. ``data`` stays the bytes that were sent.

    Other attributes are extensions: the specification allows them, so they can't be refused.
    """

    specversion: Annotated[str, msgspec.Meta(extra_json_schema={"const": SPECVERSION})]
    id: EventId
    source: Name
    type: Name
    subject: OptionalName | None = None
    time: Timestamp | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    # Factories only since no schema can be made of a Raw that is a default.
    data: Properties = msgspec.field(default_factory=msgspec.Raw)
    data_base64: Annotated[
        msgspec.Raw,
        msgspec.Meta(
            description="Not read here: send a JSON object in `data`.",
            extra_json_schema={"type": "null"},
        ),
    ] = msgspec.field(default_factory=msgspec.Raw)


Extension = str | int | float | bool | None

DATA_MEMBERS: Final = frozenset({"data", "data_base64"})
ATTRIBUTES: Final = frozenset(CloudEvent.__struct_fields__) - DATA_MEMBERS


def event_id_of(source: str, id_: str) -> str:
    """Give the event ID: the JSON text of ``["source","id"]``, so no two pairs share one.

    A contract: what is sent again after a change of it counts twice.
    """
    return msgspec.json.encode((source, id_)).decode()


class Problem(msgspec.Struct):
    """A refusal as problem details, with our code and details beside what the RFC names.

    ``instance`` is the request's ID, which stands in the answer's header and in the log, too.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: Code
    details: Details | msgspec.UnsetType = msgspec.UNSET


def error_body(error: ApiError) -> bytes:
    """Write a refusal."""
    return msgspec.json.encode(
        Problem(
            type="about:blank",
            title=HTTPStatus(error.status).phrase,
            status=error.status,
            detail=str(error),
            instance=f"urn:request:{quote(current_request_id.get(), safe='')}",
            code=error.code,
            details=msgspec.UNSET if error.details is None else dict(error.details),
        )
    )
