"""The event: its limits, its identity, its time: one ID, one event, for ever."""

from __future__ import annotations

import hashlib
import re
import struct
import time
import uuid
from datetime import UTC, datetime, timedelta
from secrets import randbits
from typing import Annotated, Final

import msgspec
import orjson

# Each limit stands here once; the error that it causes quotes it.
MAX_EVENT_ID_CHARS: Final = 512
MAX_NAME_CHARS: Final = 255  # event_name, external_customer_id, customer_id, source
MAX_PROPERTIES_BYTES: Final = 64 * 1024
MAX_PROPERTIES_DEPTH: Final = 32
MAX_BULK_EVENTS: Final = 10_000
MAX_BODY_BYTES: Final = 32 * 1024 * 1024  # decoded

EventId = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_EVENT_ID_CHARS)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
OptionalName = Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARS)]
_UUID7: Final = r"\A[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z"
SendId = Annotated[str, msgspec.Meta(pattern=_UUID7)]

# What a decoder can't check and `events.py` of the gateway does; here it says so in documents.
Timestamp = Annotated[
    str,
    msgspec.Meta(
        description="When it happened, in ISO 8601 with an offset; digits beyond microseconds "
        "are cut. At most 15 years back and one day ahead, unless the service is set otherwise. "
        "Without it: now.",
        extra_json_schema={"format": "date-time"},
    ),
]
Properties = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        description=f"A JSON object of up to {MAX_PROPERTIES_BYTES // 1024} KiB and "
        f"{MAX_PROPERTIES_DEPTH} levels; it comes back as the values that were sent, digits and "
        "all. Without it, or null: `{}`.",
        extra_json_schema={"type": ["object", "null"]},
    ),
]


class Event(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An event as the log and the tables hold it: complete, checked, in one form.

    ``timestamp`` is what `format_timestamp` gives, ``properties`` the JSON object as it was sent.
    An optional text that was not sent is "". ``send_id`` is the UUIDv7 that Sequence's dialect
    answered for this very send; an event of another dialect has none, and its record no such key.
    """

    tenant: str
    event_id: str
    event_name: str
    external_customer_id: str
    customer_id: str
    source: str
    timestamp: str
    properties: msgspec.Raw
    send_id: str | None = None


class InvalidEvent(ValueError):  # noqa: N818 (the name tells what it is, as HTTP's do)
    """A field of an event breaks a limit; ``field`` names it, the text says which limit."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


def identity_key(tenant: str, event_id: str) -> bytes:
    """Give the bytes that stand for one event ID of one tenant: the record's key in the log.

    A tenant's name holds no NUL, so no two pairs share a key. Raises UnicodeEncodeError for a
    lone surrogate, which no JSON decoder of ours lets in.
    """
    return f"{tenant}\0{event_id}".encode()


_TWO_LITTLE_ENDIAN_U64 = struct.Struct("<QQ")


def identity_hash(key: bytes) -> tuple[int, int]:
    """Give ``(h1, h2)``, the halves of BLAKE2b-128 of an `identity_key`, as ``event_ids`` has them.

    A disk format: a change of it orphans every entry written before.
    """
    digest = hashlib.blake2b(key, digest_size=16).digest()
    return _TWO_LITTLE_ENDIAN_U64.unpack(digest)


def new_event_id() -> str:
    """Make a UUIDv7 (RFC 9562): milliseconds first, so that IDs made later sort later."""
    ms = time.time_ns() // 1_000_000
    value = (ms << 80) | (0x7 << 76) | (randbits(12) << 64) | (0b10 << 62) | randbits(62)
    return str(uuid.UUID(int=value))


_IDEMPOTENT: Final = uuid.UUID("7f0b1f0e-6f0a-5c58-9d5e-0c4f6a3d1b92")


def idempotent_event_id(tenant: str, idempotency_key: str, index: int) -> str:
    """Make the ID of an event that was sent without one: UUIDv5 of tenant, key and place.

    The same request sent again gives the same IDs, so this is a contract: a change of it counts
    what is retried across the change twice.
    """
    return str(uuid.uuid5(_IDEMPOTENT, f"{tenant}\0{idempotency_key}\0{index}"))


# Python itself takes any character between date and time, and does not look behind a NUL.
_ISO_8601 = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)


def parse_timestamp(text: str) -> datetime:
    """Read an ISO 8601 time with an offset, as UTC; digits beyond microseconds are cut.

    Raises ValueError, with a text for the sender, for anything else.
    """
    upper = text.upper()
    try:
        if _ISO_8601.fullmatch(upper) is None:
            raise ValueError
        moment = datetime.fromisoformat(upper)
    except ValueError:
        message = f"{text[:64]!r} is not a time in ISO 8601, such as 2024-03-20T15:04:05Z"
        raise ValueError(message) from None
    if moment.tzinfo is None:
        raise ValueError(f"{text[:64]!r} has no offset; end it in Z or in one such as +02:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text[:64]!r} is out of range") from None


def format_timestamp(moment: datetime) -> str:
    """Write a UTC time as the log holds it: always ``YYYY-MM-DDTHH:MM:SS.ffffffZ``."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def check_age(moment: datetime, now: datetime, *, past: timedelta, future: timedelta) -> None:
    """Raise ValueError if ``moment`` is further from ``now`` than allowed: it would cost the
    tables a partition a day.
    """
    if moment < now - past:
        raise ValueError(f"{_to_the_second(moment)} is more than {past.days} days back")
    if moment > now + future:
        raise ValueError(f"{_to_the_second(moment)} is more than {future.days} day(s) ahead")


def _to_the_second(moment: datetime) -> str:
    """In words, years before 1000 too (strftime leaves out their zeros)."""
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


# A number may overflow a double only with an exponent of three digits, with 300 digits, or with
# many digits and some exponent.
_PERHAPS_NOT_A_DOUBLE = re.compile(
    rb"[0-9.][eE]\+?0*[1-9][0-9]{2}"
    rb"|(?<![0-9])[0-9]{200}(?:[0-9]{100}|[0-9]*+(?:\.[0-9]*+)?+[eE])"
)


def check_properties(raw: bytes) -> None:
    """Raise ValueError unless ``raw``, well-formed JSON already, is an object within the limits.

    Nothing is decoded unless a cheap look at the bytes says that it could break a limit.
    """
    if raw[:1] != b"{":
        raise ValueError("must be a JSON object")
    if len(raw) > MAX_PROPERTIES_BYTES:
        raise ValueError(f"is {len(raw)} bytes long, at most {MAX_PROPERTIES_BYTES} are allowed")
    if raw.count(b"{") + raw.count(b"[") > MAX_PROPERTIES_DEPTH:
        _check_depth(raw)
    if _PERHAPS_NOT_A_DOUBLE.search(raw) or rb"\u" in raw:
        try:
            orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"can't be kept: {error.msg}") from None


def _check_depth(raw: bytes) -> None:
    depth = 0
    for token in re.finditer(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', raw, re.DOTALL):
        if token.group() in (b"{", b"["):
            depth += 1
            if depth > MAX_PROPERTIES_DEPTH:
                raise ValueError(f"is nested deeper than {MAX_PROPERTIES_DEPTH} levels")
        elif token.group() in (b"}", b"]"):
            depth -= 1
