"""The record in the log: topics, headers, the value's form, and the version that orders sends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from schemas.event import (
    Event,
    EventId,
    Name,
    OptionalName,
    SendId,
    check_properties,
    format_timestamp,
    identity_key,
    parse_timestamp,
)

# Says that Tally's gateway wrote the value, so that the consumer need not check it again.
FORMAT_HEADER: Final = "tally-format"
FORMAT: Final = b"1"
DIALECT_HEADER: Final = "tally-dialect"
CONTENT_TYPE_HEADER: Final = "content-type"
REQUEST_ID_HEADER: Final = "x-request-id"
TRACE_HEADER: Final = "traceparent"
# On a record that comes back from the dead letters: the version it had, and how often it was tried.
VERSION_HEADER: Final = "tally-version"
ATTEMPTS_HEADER: Final = "tally-attempts"

# The append time of a record whose timestamp is not the log's own: such a record is never stored.
NO_APPEND_TIME: Final = -1


class Record(NamedTuple):
    """What the gateway appends. ``key`` is an `identity_key`; it decides the partition."""

    key: bytes
    value: bytes
    headers: Mapping[str, bytes]

    @property
    def size_bytes(self) -> int:
        """What it counts for in limits on memory."""
        return len(self.key) + len(self.value)


class LogRecord(NamedTuple):
    """What the consumer reads. ``append_ms`` is the log's own clock, never a producer's."""

    partition: int
    offset: int
    append_ms: int
    key: bytes
    value: bytes
    headers: Mapping[str, bytes]


class EventHead(msgspec.Struct, gc=False):
    """The fields of a value that resolving needs; the rest of the bytes is never decoded."""

    external_customer_id: str
    timestamp: str


_encoder = msgspec.json.Encoder()
_head = msgspec.json.Decoder(EventHead)


class _StrictEvent(Event, frozen=True, gc=False, forbid_unknown_fields=True):
    """An event from a producer that did not say it was our gateway."""

    event_id: EventId
    event_name: Name
    external_customer_id: Name
    customer_id: OptionalName
    source: OptionalName
    send_id: SendId | None = None


_strict = msgspec.json.Decoder(_StrictEvent)


def encode(event: Event, headers: Mapping[str, bytes]) -> Record:
    """Make the record of an event. The value is one JSON object, ready to be a table's row."""
    return Record(identity_key(event.tenant, event.event_id), _encoder.encode(event), headers)


def decode_head(value: bytes) -> EventHead:
    """Read what resolving needs of a value with our format header. Raises msgspec.MsgspecError."""
    return _head.decode(value)


def decode_unknown(value: bytes) -> Event:
    """Read a value without our format header, as carefully as the gateway reads a request, and
    give it in our own form. Raises ValueError or RecursionError; the text says what is wrong.
    """
    value.decode()
    event = _strict.decode(value)
    check_properties(bytes(event.properties))
    moment = parse_timestamp(event.timestamp)
    return msgspec.structs.replace(event, timestamp=format_timestamp(moment))


MAX_VERSION: Final = 2**64 - 1  # what the tables' column holds
_APPEND_MS_SHIFT = 20


def next_version(previous: int, append_ms: int) -> int:
    """Give the version of a partition's next record: a hybrid logical clock.

    Greater than ``previous``, and never behind the log's clock, so that it outlives a change of
    the partition count and a clock that steps back. Fits a UInt64 until the year 2500.
    """
    return max(previous + 1, append_ms << _APPEND_MS_SHIFT)


def append_ms_of(version: int) -> int:
    """Give the append time a version was made from, in milliseconds since 1970."""
    return version >> _APPEND_MS_SHIFT
