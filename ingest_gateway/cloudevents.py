"""CloudEvents: headers and bytes of a body into checked events, or an error that says which
attribute of which event is at fault. Pure but that it gives others their turn.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from ingest_gateway.arrays import cut_array
from ingest_gateway.decoding import decode, field_and_reason
from ingest_gateway.events import Accepted, Sender, checked_properties
from ingest_gateway.pieces import MAX_EVENT_BYTES, Piece
from ingest_gateway.refused import RefusedEvents, bad_events, check_count
from schemas.cloudevents import (
    ATTRIBUTES,
    BATCH,
    DATA_MEMBERS,
    SPECVERSION,
    STRUCTURED,
    CloudEvent,
    Extension,
    event_id_of,
)
from schemas.errors import ApiError, validation_error
from schemas.event import MAX_EVENT_ID_CHARS, Event, InvalidEvent

_PREFIX: Final = "ce-"
_KNOWN: Final = ATTRIBUTES | DATA_MEMBERS
_ATTRIBUTE_NAME = re.compile(r"[a-z0-9]+")

_event = msgspec.json.Decoder(CloudEvent)
_names = msgspec.json.Decoder(dict[str, msgspec.Raw])
_extension = msgspec.json.Decoder(Extension)
_raw = msgspec.json.Decoder(msgspec.Raw)


async def read_request(headers: Mapping[str, str], body: bytes, sender: Sender) -> Accepted:
    """Read the body of ``POST /api/v1/events`` in the mode that its headers say.

    Plain JSON, as OpenMeter takes it, is one event or an array of them. Raises ApiError: 415 for
    a type that we don't read, 400 for a bad event.
    """
    content_type = _media_type(headers.get("Content-Type", ""))
    if content_type == BATCH:
        return await _read_batch(body, sender)
    if content_type == STRUCTURED:
        return _read_structured(body, sender)
    if content_type.startswith("application/cloudevents"):
        raise _not_read_here(content_type)
    attributes = [
        (name.lower().removeprefix(_PREFIX), value)
        for name, value in headers.items()
        if name.lower().startswith(_PREFIX)
    ]
    if attributes:
        return _read_binary(attributes, content_type, body, sender)
    if not _is_json(content_type):
        raise _not_read_here(content_type)
    if body.lstrip()[:1] == b"[":
        return await _read_batch(body, sender)
    return _read_structured(body, sender)


def _read_structured(body: bytes, sender: Sender) -> Accepted:
    return Accepted([_read_one(body, sender)], [])


async def _read_batch(body: bytes, sender: Sender) -> Accepted:
    """All or nothing: a 400 names every bad event by its index, in ``details.errors``."""
    batch = decode(body, _raw.decode)
    if bytes(memoryview(batch)[:1]) != b"[":
        raise validation_error("the body must be a JSON array of events")
    pieces = await cut_array(batch, lambda count: check_count(count, "the batch"))
    events: list[Event] = []
    refused = RefusedEvents()
    for piece in pieces:
        for index, raw in zip(piece.places, piece.events, strict=True):
            try:
                events.append(_read_one(raw, sender))
            except ApiError as error:
                refused.add(index, (error.details or {}).get("field", ""), str(error))
                if refused.over is not None:
                    raise bad_events(refused, _count(pieces), "") from None
        await asyncio.sleep(0)
    if refused.listed:
        raise bad_events(refused, _count(pieces), "")
    return Accepted(events, [])


def _count(pieces: Sequence[Piece]) -> int:
    return sum(len(piece.events) for piece in pieces)


def _read_one(body: bytes | msgspec.Raw | None, sender: Sender) -> Event:
    """Read an event in the JSON format. Raises ApiError, a 400 that names the attribute."""
    if body is None or len(body) > MAX_EVENT_BYTES:  # it may have a million attributes
        raise validation_error(f"the event is over {MAX_EVENT_BYTES >> 10} KiB")
    raw = bytes(body)
    cloud_event = decode(raw, _event.decode)
    names = decode(raw, _names.decode)
    try:
        _check_names(names)
        return _to_event(cloud_event, sender)
    except InvalidEvent as error:
        raise validation_error(str(error), field=error.field) from None


def _read_binary(
    attributes: Iterable[tuple[str, str]], content_type: str, body: bytes, sender: Sender
) -> Accepted:
    """Attributes are headers, the body is the data (HTTP binding, section 3.1)."""
    if body and not _is_json(content_type):
        raise _not_read_here(content_type)
    try:
        cloud_event = _of_headers(attributes)
        cloud_event.data = decode(body, _raw.decode) if body else msgspec.Raw()
        event = _to_event(cloud_event, sender)
    except InvalidEvent as error:
        raise validation_error(str(error), field=error.field) from None
    return Accepted([event], [])


def _of_headers(attributes: Iterable[tuple[str, str]]) -> CloudEvent:
    """Raises InvalidEvent."""
    values: dict[str, str] = {}
    for name, value in attributes:
        if name in values:
            raise InvalidEvent(name, "was sent in two headers")
        if name in DATA_MEMBERS:
            raise InvalidEvent(name, "is no header of binary mode: the body is the data")
        if name == "datacontenttype":
            raise InvalidEvent(name, "is no header of binary mode: it is the Content-Type")
        values[name] = _header_text(name, value)
    _check_names(values)
    try:
        return msgspec.convert(values, CloudEvent)
    except msgspec.ValidationError as error:
        raise InvalidEvent(*field_and_reason(error)) from None


_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def _header_text(name: str, value: str) -> str:
    """Undo what senders do to a value: double quotes (older ones), then percent-encoding (HTTP
    binding, section 3.1.3.2). Raises InvalidEvent for what is not UTF-8.
    """
    if _QUOTED.fullmatch(value):
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    try:
        # aiohttp gives bytes of a header that are not UTF-8 as lone surrogates.
        return unquote_to_bytes(value).decode()
    except UnicodeError:
        raise InvalidEvent(name, "is not percent-encoded UTF-8") from None


def _to_event(cloud_event: CloudEvent, sender: Sender) -> Event:
    """Check what the decoder can't, and map the attributes. Raises InvalidEvent."""
    if cloud_event.specversion != SPECVERSION:
        raise InvalidEvent(
            "specversion", f"is {cloud_event.specversion[:64]!r}, only {SPECVERSION!r} is read here"
        )
    event_id = event_id_of(cloud_event.source, cloud_event.id)
    if len(event_id) > MAX_EVENT_ID_CHARS:
        raise InvalidEvent(
            "id",
            f'is too long: the event ID, the JSON text ["source","id"], has {len(event_id)} '
            f"characters, at most {MAX_EVENT_ID_CHARS} are allowed",
        )
    if not cloud_event.subject:
        raise InvalidEvent("subject", "is required here: it is the customer that used something")
    content_type = cloud_event.datacontenttype
    if content_type is not None and not _is_json(_media_type(content_type)):
        raise InvalidEvent("datacontenttype", "must be absent or JSON, such as application/json")
    if bytes(cloud_event.data_base64) not in (b"", b"null"):
        raise InvalidEvent("data_base64", "is not read here: send a JSON object in data")
    return Event(
        tenant=sender.tenant,
        event_id=event_id,
        event_name=cloud_event.type,
        external_customer_id=cloud_event.subject,
        customer_id="",
        source=cloud_event.source,
        timestamp=sender.moment(cloud_event.time, "time"),
        properties=checked_properties(cloud_event.data, "data"),
    )


def _check_names(values: Mapping[str, msgspec.Raw | str]) -> None:
    """Refuse what can't be an extension: a misspelt ``Subject`` must not be dropped without a
    word. Raises InvalidEvent.
    """
    if values.keys() <= _KNOWN:
        return
    for name, value in values.items():
        if name in _KNOWN:
            continue
        if not _ATTRIBUTE_NAME.fullmatch(name):
            shown = name[:64] or "(empty)"
            raise InvalidEvent(
                shown if shown.isprintable() else ascii(shown)[1:-1],  # it comes into the log
                "is no attribute: their names are lower-case letters and digits",
            )
        if not isinstance(value, str):
            _check_extension(name, value)


def _check_extension(name: str, value: msgspec.Raw) -> None:
    try:
        _extension.decode(value)
    except msgspec.DecodeError:
        raise InvalidEvent(name[:64], "must be a string, a number or a boolean") from None


def _media_type(content_type: str) -> str:
    """Give the type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def _is_json(media_type: str) -> bool:
    subtype = media_type.partition("/")[2]
    return subtype == "json" or subtype.endswith("+json")


def _not_read_here(content_type: str) -> ApiError:
    shown = f"Content-Type {content_type[:64]!r}" if content_type else "a body without Content-Type"
    return ApiError(
        415,
        "http_client_error",
        f"{shown} is not read here; send {STRUCTURED}, {BATCH}, or application/json with "
        "the attributes in the body or in headers ce-*",
    )
