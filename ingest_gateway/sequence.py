"""Sequence's dialect of sending: bytes of a body into a checked event, and the event into the body
of the answer. Pure but for the IDs it makes.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ingest_gateway.decoding import decode
from ingest_gateway.events import Accepted, Sender, checked_properties
from schemas.errors import validation_error
from schemas.event import Event, InvalidEvent, new_event_id
from schemas.sequence import CreateUsageEvent, UsageEvent, check_versions, shown_time

_create = msgspec.json.Decoder(CreateUsageEvent)
_encoder = msgspec.json.Encoder()


def read_event(versions: Iterable[str], body: bytes, sender: Sender) -> Accepted:
    """Read the body of ``POST /api/usage-events``, in the version of the dialect that the headers
    ask for, if they do. Raises ApiError, a 400 that names the header or field.
    """
    check_versions(versions)
    create = decode(body, _create.decode)
    try:
        timestamp = sender.moment(create.event_timestamp, "eventTimestamp")
        properties = checked_properties(create.event_properties, "eventProperties")
    except InvalidEvent as error:
        raise validation_error(str(error), field=error.field) from None
    event_id, send_id = _ids(create.customer_event_id, sender)
    event = Event(
        tenant=sender.tenant,
        event_id=event_id,
        event_name=create.event_type,
        external_customer_id=create.customer_alias,
        customer_id="",
        source="",
        timestamp=timestamp,
        properties=properties,
        send_id=send_id,
    )
    return Accepted([event], sender.made_ids)


def created_answer(event: Event) -> bytes:
    """The body of a 201, for an event that `read_event` gave."""
    assert event.send_id is not None
    answer = UsageEvent(
        id=event.send_id,
        customer_event_id=event.event_id,
        customer_alias=event.external_customer_id,
        event_type=event.event_name,
        sequence_account_id=event.tenant,
        event_timestamp=shown_time(event.timestamp),
        event_properties=event.properties,
    )
    return _encoder.encode(answer)


def _ids(customer_event_id: str | None, sender: Sender) -> tuple[str, str]:
    """Give the event's ID, and that of this send of it, which no other send ever has.

    An event without an ID is known by that of its send. Under an Idempotency-Key it is not: there
    a retry must supersede what it repeats, so the event's ID is the key's, the same again.
    """
    if customer_event_id is not None:
        return customer_event_id, new_event_id()
    made_id = sender.make_id(0)
    return made_id, made_id if sender.idempotency_key is None else new_event_id()
