"""One ID is one event: what was sent last is what there is, everywhere and at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from tests.pipeline.client import READABLE_WITHIN_S, WIDE, Tenant, ago, event, new_tenant, stamp
from tests.support.stack import Stack, wait_until

# The middle of an hour of the day before yesterday: an hour's neighbours are the same day's.
NOON = (datetime.now(UTC) - timedelta(days=2)).replace(
    hour=12, minute=30, second=0, microsecond=123456
)
FIRST = {
    "event_name": "call",
    "external_customer_id": "acme",
    "timestamp": stamp(NOON),
    "properties": {"sent": 1},
    "source": "first",
    "customer_id": "c-1",
}
CHANGES: dict[str, dict[str, Any]] = {
    "nothing but properties": {"properties": {"sent": 2}},
    "fewer fields": {"source": None, "customer_id": None, "properties": {}},
    "another name": {"event_name": "call.corrected"},
    "another customer": {"external_customer_id": "globex"},
    "an earlier customer in order": {"external_customer_id": "aaa"},
    "another microsecond": {"timestamp": stamp(NOON + timedelta(microseconds=1))},
    "later in the hour": {"timestamp": stamp(NOON + timedelta(minutes=20))},
    "earlier in the hour": {"timestamp": stamp(NOON - timedelta(minutes=20))},
    "another hour": {"timestamp": stamp(NOON + timedelta(hours=3))},
    "an earlier hour": {"timestamp": stamp(NOON - timedelta(hours=3))},
    "the next day": {"timestamp": stamp(NOON + timedelta(days=1))},
    "another month": {"timestamp": stamp(NOON - timedelta(days=70))},
    "another year": {"timestamp": stamp(NOON - timedelta(days=800))},
    "everything": {
        "event_name": "refund",
        "external_customer_id": "initech",
        "timestamp": stamp(NOON - timedelta(days=3)),
        "properties": {"sent": {"again": True}},
        "source": "second",
        "customer_id": "c-2",
    },
}


@pytest.fixture(scope="module")
def tenant(stack: Stack) -> Tenant:
    """Every change sent after its event was readable, as one ID each."""
    tenant = new_tenant(stack, "supersede")
    tenant.send_bulk([{**FIRST, "event_id": what} for what in CHANGES])
    tenant.wait_for(*CHANGES)
    tenant.send_bulk([{**FIRST, **change, "event_id": what} for what, change in CHANGES.items()])
    last = event("last")
    tenant.send(last)
    tenant.wait_for("last")
    stack.wait_until_stored()
    return tenant


def assert_is(row: dict[str, Any], sent: dict[str, Any]) -> None:
    """The row says what was sent, its timestamp as an instant."""
    for name, value in sent.items():
        if name == "timestamp":
            assert datetime.fromisoformat(row[name]) == datetime.fromisoformat(value)
        else:
            assert row["id" if name == "event_id" else name] == value


def read_everywhere(tenant: Tenant, event_id: str, **filters: Any) -> list[list[dict[str, Any]]]:
    """The event's rows as each kind of read gives them, over all time."""
    by_id, by_path = tenant.lookup(event_id), tenant.by_path(event_id)
    assert (by_id.status, by_path.status) == (200, 200)
    reads = [[by_id.json], [by_path.json["event"]]]
    pages = [
        tenant.page(event_id=event_id, count_total="true", **filters),
        tenant.page(event_id=event_id, count_total="true", **filters, **WIDE),
        tenant.query(event_id=event_id, sort="event_name", **filters),
    ]
    for page in pages:
        assert page["total_count"] == len(page["events"])
        reads.append(page["events"])
    everything = tenant.query(**WIDE, **filters, page_size=1000)["events"]
    reads.append([row for row in everything if row["id"] == event_id])
    return reads


@pytest.mark.parametrize("what", CHANGES)
def test_the_event_sent_last_is_the_only_one(tenant: Tenant, what: str) -> None:
    """Whatever a re-send changes, every read gives the last one, once."""
    for rows in read_everywhere(tenant, what):
        (row,) = rows
        assert_is(row, {**FIRST, **CHANGES[what], "event_id": what})


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_superseded_is_found_by_nothing(tenant: Tenant, what: str) -> None:
    """Neither the old customer, name, property nor time of a corrected event finds it."""
    now = {**FIRST, **CHANGES[what]}
    for name in ("external_customer_id", "event_name", "source"):
        for value in {FIRST[name], now[name]} - {None}:
            found = tenant.query(**{**WIDE, name: value}, page_size=1000)["events"]
            assert [row["id"] for row in found].count(what) == (value == now[name])
    found = tenant.query(**WIDE, property_filters={"sent": ["1"]}, page_size=1000)["events"]
    assert [row["id"] for row in found].count(what) == (now["properties"] == {"sent": 1})
    for at in {FIRST["timestamp"], now["timestamp"]}:
        customer = now["external_customer_id"]
        found = tenant.query(start_time=at, end_time=at, external_customer_id=customer)["events"]
        assert [row["id"] for row in found].count(what) == (at == now["timestamp"])


def test_the_counts_hold_every_id_once(tenant: Tenant) -> None:
    """After all corrections the total is the number of IDs, and a walk meets each once."""
    page = tenant.query(**WIDE, page_size=1000)
    assert page["total_count"] == len(CHANGES) + 1
    for sort in ("timestamp", "event_name"):
        rows = [row["id"] for rows in tenant.walk(**WIDE, sort=sort, page_size=4) for row in rows]
        assert sorted(rows) == sorted([*CHANGES, "last"])


def test_within_one_bulk_the_later_line_wins(stack: Stack) -> None:
    """Of lines with one ID in one request, only the last is stored, wherever the others went."""
    tenant = new_tenant(stack, "supersede-in-bulk")
    lines = [
        {**FIRST, "event_id": "one", **change, "properties": {"line": number}}
        for number, change in enumerate([*CHANGES.values(), {"external_customer_id": "winner"}])
    ]
    other = [event(f"between-{number}") for number in range(len(lines))]
    tenant.send_bulk([line for both in zip(lines, other, strict=True) for line in both])
    tenant.wait_for("one", *(sent["event_id"] for sent in other))
    stack.wait_until_stored()
    for rows in read_everywhere(tenant, "one"):
        (row,) = rows
        assert_is(row, lines[-1])
    assert len(tenant.everything()) == len(other) + 1
    for customer in {line["external_customer_id"] for line in lines} - {"acme", "winner"}:
        assert tenant.page(external_customer_id=customer, **WIDE)["events"] == []


def test_the_same_thing_again_changes_nothing(stack: Stack) -> None:
    """An event delivered five times is one event, equal to what one delivery gave."""
    tenant = new_tenant(stack, "supersede-same")
    sent = {**FIRST, "event_id": "same"}
    tenant.send(sent)
    tenant.wait_for("same")
    before = tenant.lookup("same").json
    for _ in range(4):
        tenant.send(sent)
    tenant.send_bulk([sent, sent, event("last")])
    tenant.wait_for("last")
    stack.wait_until_stored()
    for rows in read_everywhere(tenant, "same"):
        assert rows == [before]
    assert len(tenant.everything()) == 2


def test_an_event_sent_back_and_forth_is_where_it_was_last(stack: Stack) -> None:
    """Moved away and back to the very same customer and time, it is there again, once."""
    tenant = new_tenant(stack, "supersede-back")
    here = {**FIRST, "event_id": "back"}
    there = {**here, "external_customer_id": "globex", "timestamp": ago(hours=30)}
    for number, sent in enumerate([here, there, here, there, here]):
        tenant.send({**sent, "properties": {"number": number}})
        wait_until(
            partial(tenant.has_properties, "back", {"number": number}), within_s=READABLE_WITHIN_S
        )
        for rows in read_everywhere(tenant, "back"):
            (row,) = rows
            assert row["properties"] == {"number": number}
    assert tenant.page(external_customer_id="globex")["events"] == []


def test_a_hundred_sends_of_one_id_are_one_event(stack: Stack) -> None:
    """A hundred sends under one ID, each of another hour or customer, leave the hundredth."""
    tenant = new_tenant(stack, "supersede-hundred")
    for number in range(100):
        tenant.send(
            event(
                "hundred",
                external_customer_id=f"customer-{number % 7}",
                event_name=f"name-{number % 3}",
                timestamp=stamp(NOON + timedelta(hours=number % 30 - 15)),
                properties={"number": number},
            )
        )
    wait_until(
        partial(tenant.has_properties, "hundred", {"number": 99}), within_s=READABLE_WITHIN_S
    )
    stack.wait_until_stored()
    for rows in read_everywhere(tenant, "hundred"):
        assert [row["properties"] for row in rows] == [{"number": 99}]
    for customer in range(7):
        found = tenant.query(**WIDE, external_customer_id=f"customer-{customer}")
        assert found["total_count"] == (customer == 99 % 7)
