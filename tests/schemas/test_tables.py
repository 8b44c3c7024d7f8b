"""The rows as ClickHouse is given them."""

from __future__ import annotations

import json

import pytest

from schemas.tables import EventIdEntry, Tombstone, event_id_row, event_row, tombstone_row

pytestmark = pytest.mark.unit


def test_an_event_row_is_the_value_with_its_version() -> None:
    """The version is spliced into the record's own bytes."""
    assert json.loads(event_row(b'{"event_id":"x"}', 7)) == {"version": 7, "event_id": "x"}


def test_a_tombstone_stands_at_the_start_of_its_hour() -> None:
    """A tombstone carries its key and version, is deleted, and holds nothing of the event."""
    row = json.loads(
        tombstone_row(
            Tombstone(tenant="t", event_id="x", external_customer_id="c", timestamp=3600, version=9)
        )
    )
    assert row == {
        "tenant": "t",
        "event_id": "x",
        "external_customer_id": "c",
        "timestamp": 3600,
        "version": 9,
        "is_deleted": 1,
        "event_name": "",
        "properties": {},
    }


def test_an_index_row_is_in_the_order_of_its_columns() -> None:
    """JSONCompactEachRow has no names, so the order is the contract."""
    assert event_id_row(EventIdEntry(1, 2, 3600, 'a"b', 4)) == b'[1,2,3600,"a\\"b",4]\n'
