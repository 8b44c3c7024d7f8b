"""From a record of the log to what resolving works on. Pure."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import msgspec

from consumer.errors import BadRecord
from schemas.event import identity_hash, identity_key
from schemas.record import (
    FORMAT,
    FORMAT_HEADER,
    NO_APPEND_TIME,
    EventHead,
    LogRecord,
    decode_head,
    decode_unknown,
    encode,
)
from schemas.tables import EventKey

Identity = tuple[int, int]  # (h1, h2) of one event ID of one tenant


class Sent(NamedTuple):
    """One send of an event: who it is, where its row stands, which version, and the row's JSON."""

    identity: Identity
    key: EventKey
    version: int
    record_key: bytes  # tenant, NUL, event ID
    value: bytes


def take_in(record: LogRecord, version: int) -> Sent:
    """Read a record. Raises BadRecord if it can't become a row."""
    if record.append_ms == NO_APPEND_TIME:
        raise BadRecord(
            "its timestamp is its producer's, not the log's: the topic needs "
            "message.timestamp.type=LogAppendTime (tally topics apply)"
        )
    written_by = record.headers.get(FORMAT_HEADER)
    if written_by == FORMAT:
        value = record.value
    elif written_by is None:
        value = _check_unknown(record)
    else:
        raise BadRecord(
            f"format {written_by!r} is newer than this consumer, which knows {FORMAT!r}"
        )
    try:
        tenant, nul, _ = record.key.decode().partition("\0")
        if not (tenant and nul):
            raise BadRecord("the record's key is not its tenant, a NUL and its event ID")
        head: EventHead = decode_head(value)
        key = EventKey(_hour(head.timestamp[:13]), head.external_customer_id)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise BadRecord(f"the record can't be read: {error}") from None
    return Sent(identity_hash(record.key), key, version, record.key, value)


@lru_cache(maxsize=4096)
def _hour(text: str) -> int:
    """Give the start of an hour, from ``YYYY-MM-DDTHH`` in UTC, in seconds since 1970."""
    return int(datetime.fromisoformat(text + ":00:00+00:00").timestamp())


def _check_unknown(record: LogRecord) -> bytes:
    """Check a value that our gateway did not write in full, and write it in our own form."""
    try:
        event = decode_unknown(record.value)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadRecord(f"the value is no event of ours: {error}") from None
    if record.key != identity_key(event.tenant, event.event_id):
        raise BadRecord("the record's key is not its tenant, a NUL and its event ID")
    return encode(event, {}).value
