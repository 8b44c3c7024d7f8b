"""FlexPrice's dialect of sending: bytes of a body into checked events, or an error that says
which field of which event is at fault. Pure but for the IDs it makes.
"""

from __future__ import annotations

import msgspec

from ingest_gateway.decoding import decode, field_and_reason
from ingest_gateway.events import Accepted, Sender, checked_properties
from ingest_gateway.refused import RefusedEvents, bad_events, check_count
from schemas.errors import ApiError, validation_error
from schemas.event import Event, InvalidEvent
from schemas.flexprice import BulkIngest, IngestEvent, RawBulkIngest

BULK_ANSWER = b'{"message":"Events accepted for processing"}'

_event = msgspec.json.Decoder(IngestEvent)
_bulk = msgspec.json.Decoder(BulkIngest)
_raw_bulk = msgspec.json.Decoder(RawBulkIngest)


def single_answer(event_id: str) -> bytes:
    """The body of a 202. Every value is text: the published client rejects anything else."""
    return b'{"message":"Event accepted for processing","event_id":%b}' % msgspec.json.encode(
        event_id
    )


def read_event(body: bytes, sender: Sender) -> Accepted:
    """Read the body of ``POST /v1/events``. Raises ApiError, a 400 that names the field."""
    ingest = decode(body, _event.decode)
    try:
        event = to_event(ingest, 0, sender)
    except InvalidEvent as error:
        raise validation_error(str(error), field=error.field) from None
    return Accepted([event], sender.made_ids)


def read_bulk(body: bytes, sender: Sender) -> Accepted:
    """Read the body of ``POST /v1/events/bulk``, all or nothing.

    Raises ApiError, a 400 that names every bad event by its index, in ``details.errors``.
    """
    try:
        body.decode()
        ingests = _bulk.decode(body).events
        check_bulk(len(ingests))
        events = [to_event(ingest, index, sender) for index, ingest in enumerate(ingests)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidEvent):
        raise _bad_bulk(body, sender) from None
    return Accepted(events, sender.made_ids)


def to_event(ingest: IngestEvent, index: int, sender: Sender) -> Event:
    """Check what the decoder can't, and fill in what was left out. Raises InvalidEvent."""
    return Event(
        tenant=sender.tenant,
        event_id=sender.make_id(index) if ingest.event_id is None else ingest.event_id,
        event_name=ingest.event_name,
        external_customer_id=ingest.external_customer_id,
        customer_id=ingest.customer_id or "",
        source=ingest.source or "",
        timestamp=sender.moment(ingest.timestamp, "timestamp"),
        properties=checked_properties(ingest.properties, "properties"),
    )


def _bad_bulk(body: bytes, sender: Sender) -> ApiError:
    """Read a bad bulk once more, event by event, for the 400 that names each bad one."""
    raw_events = decode(body, _raw_bulk.decode).events
    check_bulk(len(raw_events))
    refused = RefusedEvents()
    for index, raw in enumerate(raw_events):
        try:
            to_event(_event.decode(raw), index, sender)
        except msgspec.ValidationError as error:
            field, reason = field_and_reason(error)
            refused.add(index, field, f"{field}: {reason}")
        except InvalidEvent as error:
            refused.add(index, error.field, str(error))
        if refused.over is not None:
            break
    return bad_events(refused, len(raw_events), "events")


def check_bulk(count: int) -> None:
    """Raise ApiError, a 400, unless a bulk's object may hold so many events."""
    check_count(count, "events:", field="events")
