"""FlexPrice's dialect of sending: bytes of a body into checked events, or an error that says
which field of which event is at fault. Pure but for the IDs it makes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import msgspec

from ingest_gateway.settings import Settings
from schemas.event import (
    MAX_BULK_EVENTS,
    Event,
    InvalidEvent,
    check_age,
    check_properties,
    format_timestamp,
    new_event_id,
    parse_timestamp,
)
from schemas.http import (
    ApiError,
    BulkIngest,
    IngestEvent,
    RawBulkIngest,
    validation_error,
    why_malformed,
)

DIALECT = b"flexprice"
BULK_ANSWER = b'{"message":"Events accepted for processing"}'

_event = msgspec.json.Decoder(IngestEvent)
_bulk = msgspec.json.Decoder(BulkIngest)
_raw_bulk = msgspec.json.Decoder(RawBulkIngest)
_NO_PROPERTIES = msgspec.Raw(b"{}")

T = TypeVar("T")


class Accepted(NamedTuple):
    """Events ready for the log, and which IDs among them we made (a sender can't know those)."""

    events: list[Event]
    made_ids: list[str]


def single_answer(event_id: str) -> bytes:
    """The body of a 202. Every value is text: the published client rejects anything else."""
    return b'{"message":"Event accepted for processing","event_id":%b}' % msgspec.json.encode(
        event_id
    )


def read_event(body: bytes, tenant: str, now: datetime, settings: Settings) -> Accepted:
    """Read the body of ``POST /v1/events``. Raises ApiError, a 400 that names the field."""
    made: list[str] = []
    ingest = _decode(body, _event.decode)
    try:
        event = _to_event(ingest, tenant, now, settings, made)
    except InvalidEvent as error:
        raise validation_error(str(error), field=error.field) from None
    return Accepted([event], made)


def read_bulk(body: bytes, tenant: str, now: datetime, settings: Settings) -> Accepted:
    """Read the body of ``POST /v1/events/bulk``, all or nothing.

    Raises ApiError, a 400 that names every bad event by its index, in ``details.errors``.
    """
    made: list[str] = []
    try:
        body.decode()
        ingests = _bulk.decode(body).events
        _check_count(len(ingests))
        events = [_to_event(ingest, tenant, now, settings, made) for ingest in ingests]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidEvent):
        raise _bad_bulk(body, tenant, now, settings) from None
    return Accepted(events, made)


def _to_event(
    ingest: IngestEvent, tenant: str, now: datetime, settings: Settings, made: list[str]
) -> Event:
    """Check what the decoder can't, and fill in what was left out. Raises InvalidEvent."""
    moment = now
    if ingest.timestamp is not None:
        try:
            moment = parse_timestamp(ingest.timestamp)
            check_age(moment, now, past=settings.max_event_age, future=settings.max_event_ahead)
        except ValueError as error:
            raise InvalidEvent("timestamp", str(error)) from None
    raw = bytes(ingest.properties)
    if raw in (b"", b"null"):
        properties = _NO_PROPERTIES
    else:
        properties = ingest.properties
        try:
            check_properties(raw)
        except ValueError as error:
            raise InvalidEvent("properties", str(error)) from None
    event_id = ingest.event_id
    if event_id is None:
        event_id = new_event_id()
        made.append(event_id)
    return Event(
        tenant=tenant,
        event_id=event_id,
        event_name=ingest.event_name,
        external_customer_id=ingest.external_customer_id,
        customer_id=ingest.customer_id or "",
        source=ingest.source or "",
        timestamp=format_timestamp(moment),
        properties=properties,
    )


def _bad_bulk(body: bytes, tenant: str, now: datetime, settings: Settings) -> ApiError:
    """Read a bad bulk once more, event by event, for the 400 that names each bad one."""
    raw_events = _decode(body, _raw_bulk.decode).events
    _check_count(len(raw_events))
    errors: list[dict[str, Any]] = []
    for index, raw in enumerate(raw_events):
        try:
            ingest = _event.decode(raw)
            _to_event(ingest, tenant, now, settings, [])
        except msgspec.ValidationError as error:
            field, reason = _field_and_reason(error)
            message = f"{field}: {reason}" if field else reason
            errors.append({"index": index, "field": field, "message": message})
        except InvalidEvent as error:
            errors.append({"index": index, "field": error.field, "message": str(error)})
    first = errors[0]
    return validation_error(
        f"{len(errors)} of {len(raw_events)} events are bad and none was taken; "
        f"the first is events[{first['index']}]: {first['message']}",
        details={"errors": errors},
    )


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_BULK_EVENTS:
        raise validation_error(
            f"events: holds {count} events, 1 to {MAX_BULK_EVENTS} are allowed", field="events"
        )


def _decode(body: bytes, decode: Callable[[bytes], T]) -> T:
    """Decode a body. Raises ApiError, a 400 that says what is wrong and where."""
    try:
        body.decode()
        return decode(body)
    except UnicodeDecodeError as error:
        raise validation_error(f"the body is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise validation_error("the body is nested too deep") from None
    except msgspec.ValidationError as error:
        field, reason = _field_and_reason(error)
        message = f"{field}: {reason}" if field else reason
        raise validation_error(message, field=field or None) from None
    except msgspec.DecodeError as error:
        raise validation_error(why_malformed(body, str(error))) from None


_PATH = re.compile(r"(.*) - at `\$\.?(.*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_EMPTY = "Expected `str` of length >= 1"
_TOO_LONG = re.compile(r"Expected `str` of length <= (\d+)")
_MISSING = re.compile(r"Object missing required field `(.*)`")


def _field_and_reason(error: msgspec.ValidationError) -> tuple[str, str]:
    """Take msgspec's text apart: the field's path ("" for the body itself) and what is wrong."""
    text, path = str(error), ""
    if placed := _PATH.fullmatch(text):
        text, path = placed.groups()
    for pattern, reason in ((_MISSING, "is required"), (_UNKNOWN, "is no field of an event")):
        if named := pattern.fullmatch(text):
            return ".".join(filter(None, (path, named[1]))), reason
    if text == _EMPTY:
        return path, "must not be empty"
    return path, _TOO_LONG.sub(r"must be at most \1 characters long", text)
