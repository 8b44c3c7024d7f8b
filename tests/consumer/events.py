"""Events for the consumer's tests, and how the tables read them back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import clickhouse_connect
import msgspec

from schemas.event import Event, format_timestamp
from schemas.record import FORMAT, FORMAT_HEADER, Record, encode
from schemas.tables import READ_SETTINGS

HEADERS = {FORMAT_HEADER: FORMAT}
START = datetime(2026, 3, 1, tzinfo=UTC)


class Row(NamedTuple):
    """What a reader sees of an event."""

    event_id: str
    event_name: str
    customer: str
    timestamp: str
    properties: str


def row(
    event_id: str, *, name: str = "n", customer: str = "c", minutes: int = 0, n: int = 0
) -> Row:
    """An event, ``minutes`` after a fixed midnight, whose properties hold a number."""
    timestamp = format_timestamp(START + timedelta(minutes=minutes, microseconds=n % 1000))
    return Row(event_id, name, customer, timestamp, f'{{"n": {n}}}')


def record(tenant: str, one: Row) -> Record:
    """The record that the gateway would append for it."""
    event = Event(
        tenant=tenant,
        event_id=one.event_id,
        event_name=one.event_name,
        external_customer_id=one.customer,
        customer_id="",
        source="",
        timestamp=one.timestamp,
        properties=msgspec.Raw(one.properties.encode()),
    )
    return encode(event, HEADERS)


_COLUMNS = "event_id, event_name, external_customer_id, timestamp, properties"
_FINAL = f"SELECT {_COLUMNS} FROM events FINAL WHERE tenant = {{tenant:String}}"
_ARG_MAX = """
SELECT event_id, r.2, external_customer_id, r.3, r.4 FROM (
    SELECT event_id, external_customer_id,
        argMax((is_deleted, event_name, timestamp, properties), version) AS r
    FROM events WHERE tenant = {tenant:String}
    GROUP BY tenant, toStartOfHour(timestamp), external_customer_id, event_id
) WHERE r.1 = 0
"""


def read(url: str, tenant: str) -> list[Row]:
    """Everything a tenant has, sorted; both exact ways of reading must agree."""
    client = clickhouse_connect.get_client(dsn=url)
    try:
        answers = [
            client.query(query, parameters={"tenant": tenant}, settings=settings).result_rows
            for query, settings in ((_FINAL, dict(READ_SETTINGS)), (_ARG_MAX, {}))
        ]
    finally:
        client.close()
    final, arg_max = (sorted(map(_row, answer)) for answer in answers)
    assert final == arg_max
    return final


def optimize(url: str) -> None:
    """Merge everything that can be merged."""
    client = clickhouse_connect.get_client(dsn=url)
    client.command("OPTIMIZE TABLE events FINAL")
    client.command("OPTIMIZE TABLE event_ids FINAL")
    client.close()


def _row(answer: Sequence[object]) -> Row:
    event_id, name, customer, timestamp, properties = answer
    assert isinstance(timestamp, datetime)
    return Row(
        str(event_id),
        str(name),
        str(customer),
        format_timestamp(timestamp.replace(tzinfo=UTC)),
        str(properties),
    )
