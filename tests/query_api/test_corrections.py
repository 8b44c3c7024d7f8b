"""Corrections, tombstones and look-ups against the real engine, with parts of a single row."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from query_api import plan
from query_api.plan import StoredEvent
from query_api.settings import Settings
from query_api.store import ClickHouseStore
from schemas.tables import EventKey
from tests.query_api.conftest import Api
from tests.query_api.rows import NOON, Row, Table, at, text

ALL = {"start_time": text(at(-600)), "end_time": text(at(600))}
ORDERS = ("asc", "desc")
SORTS = ("timestamp", "event_name")


@pytest.mark.parametrize("order", ORDERS)
async def test_moved_within_its_hour(api: Api, table: Table, tenant: str, order: str) -> None:
    """An event that moved within its hour is not found at its old time, though the part with the
    newer row lies outside the window.
    """
    row = Row(tenant, "moved", at(20))
    table.store_apart(row, row._replace(timestamp=at(50), version=2))
    old = {"start_time": text(at(10)), "end_time": text(at(30)), "order": order}
    assert await api.listed(tenant, **old) == []
    new = {"start_time": text(at(40)), "end_time": text(at(59)), "order": order}
    assert await api.listed(tenant, **new) == ["moved"]


@pytest.mark.parametrize("filters", [{}, {"external_customer_id": "acme"}, {"event_id": "moved"}])
async def test_moved_out_of_its_hour(
    api: Api, table: Table, tenant: str, filters: dict[str, str]
) -> None:
    """The tombstone at the hour's start hides the old row, in a window that begins after it."""
    row = Row(tenant, "moved", at(20))
    table.store_apart(row, row.tombstone, row._replace(timestamp=at(200), version=2))
    window = {"start_time": text(at(10)), "end_time": text(at(30))}
    assert await api.listed(tenant, **window, **filters) == []
    window = {"start_time": text(at(10)), "end_time": text(at(200))}
    assert await api.listed(tenant, **window, **filters) == ["moved"]


async def test_a_correction_may_change_what_filters_see(
    api: Api, table: Table, tenant: str
) -> None:
    """A filter that the older row passes and the newer does not finds nothing."""
    row = Row(tenant, "x", at(20), "call", source="app", properties='{"tier":"free"}')
    newer = row._replace(event_name="mail", source="web", properties='{"tier":"paid"}', version=2)
    table.store_apart(row, newer)
    for old, new in (
        ({"event_name": "call"}, {"event_name": "mail"}),
        ({"source": "app"}, {"source": "web"}),
        ({"property_filters": {"tier": ["free"]}}, {"property_filters": {"tier": ["paid"]}}),
    ):
        assert await api.listed(tenant, **ALL, **old) == []
        assert await api.listed(tenant, **ALL, **new) == ["x"]


async def test_a_walk_does_not_meet_a_row_older_than_the_cursor(
    api: Api, table: Table, tenant: str
) -> None:
    """Continuing in the middle of an hour sees moves within that hour."""
    rows = [Row(tenant, f"e{minute}", at(minute)) for minute in range(10, 50, 10)]
    table.store_apart(*rows)
    table.store(Row(tenant, "e10", at(45), version=2))
    asked = {**ALL, "page_size": 2}
    first = await api.get(tenant, **asked)
    assert [event["id"] for event in first.body["events"]] == ["e10", "e40"]
    rest = await api.get(tenant, **asked, iter_last_key=first.body["iter_last_key"])
    assert [event["id"] for event in rest.body["events"]] == ["e30", "e20"]
    assert not rest.body["has_more"]


async def test_look_up_does_not_trust_the_index(api: Api, table: Table, tenant: str) -> None:
    """An ID is found where it stands although the index knows another key, or none."""
    row = Row(tenant, "lagging", at(20))
    table.store_apart(row)
    table.insert(row._replace(timestamp=at(500), version=2), row.tombstone)
    table.insert(Row(tenant, "unknown", at(20)))
    for event_id, timestamp in (("lagging", at(500)), ("unknown", at(20))):
        answer = await api.look_up(tenant, event_id)
        assert answer.status == 200
        assert answer.body["timestamp"] == text(timestamp).replace(".000000", "")
        assert await api.listed(tenant, event_id=event_id) == [event_id]


async def test_a_deleted_event_is_gone_everywhere(api: Api, table: Table, tenant: str) -> None:
    """An ID whose latest row is a tombstone is a 404, and in no list."""
    row = Row(tenant, "gone", at(20))
    table.store_apart(row)
    table.insert(row.tombstone)
    assert (await api.look_up(tenant, "gone")).status == 404
    assert await api.listed(tenant, event_id="gone") == []
    assert await api.listed(tenant, **ALL) == []


async def test_an_event_id_is_found_in_all_of_time(api: Api, table: Table, tenant: str) -> None:
    """A list of an ID has no default window, neither to the past nor to the future."""
    for event_id, moment in (
        ("old", NOON - timedelta(days=5000)),
        ("new", NOON + timedelta(days=9000)),
    ):
        table.store(Row(tenant, event_id, moment))
        assert await api.listed(tenant, event_id=event_id) == [event_id]
        assert (await api.get(tenant, event_id=event_id)).body["events"][0]["id"] == event_id
        assert await api.listed(tenant, event_id=event_id, event_name="other") == []
        assert await api.listed(tenant, event_id=event_id, end_time=text(at(0))) == (
            ["old"] if event_id == "old" else []
        )


async def test_two_rows_of_an_id_in_one_answer_are_one(api: Api, table: Table, tenant: str) -> None:
    """While two consumers have stored an ID under two keys, a page shows the newer row only."""
    table.insert(Row(tenant, "twice", at(20), version=1), Row(tenant, "twice", at(200), version=2))
    for order, sort in itertools.product(ORDERS, SORTS):
        page = await api.get(tenant, **ALL, order=order, sort=sort)
        assert [event["timestamp"] for event in page.body["events"]] == ["2024-03-20T15:20:00Z"]
    answer = await api.look_up(tenant, "twice")
    assert answer.body["timestamp"] == "2024-03-20T15:20:00Z"


async def test_rows_left_out_of_a_full_page_do_not_end_the_list(
    api: Api, table: Table, tenant: str
) -> None:
    """A page that shrank because it held an ID twice still says that there is more."""
    table.insert(
        Row(tenant, "twice", at(59), version=1),
        Row(tenant, "twice", at(61), version=2),
        Row(tenant, "other", at(200)),
    )
    page = (await api.get(tenant, **ALL, order="asc", page_size=1)).body
    met = [event["id"] for event in page["events"]]
    while page["has_more"]:
        cursor = page["iter_last_key"]
        page = (await api.get(tenant, order="asc", page_size=1, iter_last_key=cursor)).body
        met += [event["id"] for event in page["events"]]
    assert met[-1] == "other"
    customers = {**ALL, "external_customer_id": "acme", "order": "asc", "page_size": 1}
    assert (await api.get(tenant, **customers)).body["has_more"]


@pytest.mark.parametrize("event_id", ["plain", "ü/\n\0'\\"])
async def test_the_index_leads_to_the_row(
    table: Table, settings: Settings, tenant: str, event_id: str
) -> None:
    """A look-up by ID finds the event under the key that the index names, reading nothing else."""
    row = Row(tenant, event_id, at(20), external_customer_id="ç'\\")
    table.store(row)
    store = ClickHouseStore(settings)
    try:
        ((hour, customer),) = await store.fetch(plan.known_key(tenant, event_id), tuple[int, str])
        assert (hour, customer) == (NOON.timestamp(), row.external_customer_id)
        for key, found in ((EventKey(hour, customer), 1), (EventKey(hour + 3600, customer), 0)):
            assert len(await store.fetch(plan.by_id(tenant, event_id, key), StoredEvent)) == found
    finally:
        await store.close()
