"""Rows as the consumer writes them, and what a list should say about them, by brute force."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import clickhouse_connect

from schemas.event import format_timestamp, identity_hash, identity_key
from schemas.tables import EVENT_IDS, EVENTS, INSERT_SETTINGS

NOON = datetime(2024, 3, 20, 12, 0, 0, tzinfo=UTC)


NO_SEND_ID = "00000000-0000-0000-0000-000000000000"


class Row(NamedTuple):
    """A row of ``events``; the defaults are one plain event at noon."""

    tenant: str
    event_id: str
    timestamp: datetime = NOON
    event_name: str = "call"
    external_customer_id: str = "acme"
    customer_id: str = ""
    source: str = ""
    properties: str = "{}"
    version: int = 1
    is_deleted: int = 0
    send_id: str = NO_SEND_ID

    @property
    def tombstone(self) -> Row:
        """The row that hides this one, one version later."""
        hour = self.timestamp.replace(minute=0, second=0, microsecond=0)
        return self._replace(
            timestamp=hour,
            version=self.version + 1,
            is_deleted=1,
            event_name="",
            customer_id="",
            source="",
            properties="{}",
            send_id=NO_SEND_ID,
        )


class Table:
    """Writes straight into the tables, one part a call (and day)."""

    def __init__(self, url: str) -> None:
        self._client = clickhouse_connect.get_client(dsn=url, autogenerate_session_id=False)

    def command(self, sql: str) -> None:
        self._client.command(sql)

    def insert(self, *rows: Row) -> None:
        """Insert rows into ``events`` only, in one block."""
        lines = [json.dumps(row._asdict(), default=_as_text).encode() for row in rows]
        self._client.raw_insert(
            EVENTS, insert_block=b"\n".join(lines), fmt="JSONEachRow", settings=INSERT_SETTINGS
        )

    def index(self, *rows: Row) -> None:
        """Enter the keys of rows into ``event_ids``."""
        lines = []
        for row in rows:
            h1, h2 = identity_hash(identity_key(row.tenant, row.event_id))
            hour = int(row.timestamp.timestamp()) // 3600 * 3600
            entry = [h1, h2, hour, row.external_customer_id, row.version]
            lines.append(json.dumps(entry).encode())
        self._client.raw_insert(
            EVENT_IDS,
            insert_block=b"\n".join(lines),
            fmt="JSONCompactEachRow",
            settings=INSERT_SETTINGS,
        )

    def store(self, *rows: Row) -> None:
        """Insert and index."""
        self.insert(*rows)
        self.index(*rows)

    def store_apart(self, *rows: Row) -> None:
        """Insert each row as a part of its own, and index it."""
        for row in rows:
            self.store(row)

    def close(self) -> None:
        self._client.close()


def _as_text(value: Any) -> str:
    assert isinstance(value, datetime)
    return format_timestamp(value)


def at(minutes: float, *, micros: int = 0) -> datetime:
    """The time so many minutes after noon."""
    return NOON + timedelta(minutes=minutes, microseconds=micros)


def text(moment: datetime) -> str:
    """A time as a parameter."""
    return format_timestamp(moment)


def in_order(rows: Iterable[Row], sort: str, order: str) -> list[str]:
    """The IDs of live rows as a list of everything should give them."""

    def key(row: Row) -> tuple[Any, ...]:
        ties = (row.timestamp, row.event_id.encode())
        return (row.event_name.encode(), *ties) if sort == "event_name" else ties

    return [row.event_id for row in sorted(rows, key=key, reverse=order == "desc")]
