"""ClickHouse's two tables as a dictionary each, with the semantics that resolving relies on."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import UTC, datetime

import msgspec

from consumer.intake import Identity, Sent, take_in
from consumer.resolve import KnownKeys
from schemas.event import Event, identity_hash, identity_key
from schemas.record import FORMAT, FORMAT_HEADER, LogRecord, encode
from schemas.tables import EventIdEntry, EventKey

TENANT = "t"


def sent(event_id: str, *, hour: int, customer: str, version: int, name: str = "n") -> Sent:
    """One send as the consumer takes it in; ``hour`` counts from 2024-01-01."""
    moment = datetime(2024, 1, 1 + hour // 24, hour % 24, 30, tzinfo=UTC)
    event = Event(
        tenant=TENANT,
        event_id=event_id,
        event_name=name,
        external_customer_id=customer,
        customer_id="",
        source="",
        timestamp=f"{moment:%Y-%m-%dT%H:%M:%S}.000000Z",
        properties=msgspec.Raw(b"{}"),
    )
    record = encode(event, {FORMAT_HEADER: FORMAT})
    return take_in(LogRecord(0, 0, 1, record.key, record.value, record.headers), version)


class Tables:
    """``events`` as FINAL reads it, and ``event_ids``."""

    def __init__(self) -> None:
        self._rows: dict[tuple[Identity, EventKey], tuple[int, bool, str]] = {}
        self._index: dict[Identity, dict[EventKey, int]] = {}

    def insert_events(self, lines: Iterable[bytes]) -> None:
        """Insert; of one key the highest version stays, of equal versions the last inserted."""
        for line in lines:
            row = json.loads(line)
            identity = identity_hash(identity_key(row["tenant"], row["event_id"]))
            stamp = row["timestamp"]
            hour = stamp if isinstance(stamp, int) else _hour_of(stamp)
            key = EventKey(hour, row["external_customer_id"])
            new = (row["version"], bool(row.get("is_deleted", 0)), row["event_name"])
            old = self._rows.get((identity, key))
            if old is None or new[0] >= old[0]:
                self._rows[identity, key] = new

    def insert_event_ids(self, entries: Iterable[EventIdEntry]) -> None:
        """Insert; of one key the highest version stays."""
        for h1, h2, hour, customer, version in entries:
            keys = self._index.setdefault((h1, h2), {})
            key = EventKey(hour, customer)
            keys[key] = max(version, keys.get(key, 0))

    def look_up(self, identities: Collection[Identity]) -> dict[Identity, KnownKeys]:
        """Give what the index knows, as it is at this moment."""
        return {name: dict(self._index[name]) for name in identities if name in self._index}

    def alive(self) -> list[tuple[EventKey, int, str]]:
        """Every row that a reader sees: key, version and name."""
        return sorted(
            (key, version, name)
            for (_, key), (version, is_deleted, name) in self._rows.items()
            if not is_deleted
        )


def _hour_of(stamp: str) -> int:
    return int(datetime.fromisoformat(stamp[:13] + ":00:00+00:00").timestamp())
