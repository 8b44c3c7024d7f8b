"""Sends as the consumer takes them in, some of them such that ClickHouse refuses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from consumer.intake import Identity, Sent, take_in
from consumer.isolate import Stored, insert_isolating
from consumer.resolve import group_by_identity
from consumer.store import Store
from schemas.record import LogRecord
from tests.consumer.events import Row, record

EVIL = "evil"  # the name that CONSTRAINT refuses
CONSTRAINT = f"ALTER TABLE events ADD CONSTRAINT calm CHECK event_name != '{EVIL}'"
# As if written by a function that fails: the error names no row.
SILENT_CONSTRAINT = (
    f"ALTER TABLE events ADD CONSTRAINT calm CHECK throwIf(event_name = '{EVIL}', 'boo') = 0"
)
NO_CONSTRAINT = "ALTER TABLE events DROP CONSTRAINT calm"


def send(tenant: str, one: Row, version: int, *, unreadable: bool = False) -> Sent:
    """One send; ``unreadable``: with a timestamp that only ClickHouse finds to be none."""
    appended = record(tenant, one)
    value = appended.value
    if unreadable:
        value = value.replace(one.timestamp.encode(), f"{one.timestamp[:13]}:never".encode())
    return take_in(LogRecord(0, 0, 1, appended.key, value, appended.headers), version)


async def consume(store: Store, batch: Sequence[Sent]) -> list[tuple[Sent, str]]:
    """Do a batch as the consumer does; give what was refused."""
    groups: Mapping[Identity, list[Sent]] = group_by_identity(batch)
    known = await store.look_up(groups)
    stored: Stored = await insert_isolating(store, groups, known)
    await store.insert_event_ids(stored.entries)
    return stored.refused
