"""The window of time that a list looks at: its default, its ends, and a walk's memory of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from tests.pipeline.client import WIDE, Tenant, ago, event, new_tenant, stamp
from tests.support.stack import Stack

HOUR = (datetime.now(UTC) - timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
MICROSECOND = timedelta(microseconds=1)
# Around the turn of an hour, since reads prune by whole hours, and in the middle of one.
TIMES = {
    "before-": HOUR - 2 * MICROSECOND,
    "before": HOUR - MICROSECOND,
    "turn": HOUR,
    "turn+": HOUR + MICROSECOND,
    "middle-": HOUR + timedelta(minutes=30, microseconds=123_455),
    "middle": HOUR + timedelta(minutes=30, microseconds=123_456),
    "middle+": HOUR + timedelta(minutes=30, microseconds=123_457),
    "end": HOUR + timedelta(hours=1) - MICROSECOND,
    "next": HOUR + timedelta(hours=1),
}


@pytest.fixture(scope="module")
def tenant(stack: Stack) -> Tenant:
    tenant = new_tenant(stack, "window")
    tenant.send_bulk(
        [
            event(name, timestamp=stamp(time), properties={"rare": "yes"}, source="test")
            for name, time in TIMES.items()
        ]
    )
    tenant.wait_for_count(len(TIMES))
    return tenant


WAYS: dict[str, dict[str, Any]] = {
    "everyone": {},
    "one customer": {"external_customer_id": "acme"},
    "a property": {"property_filters": {"rare": ["yes"]}},
    "by name": {"sort": "event_name", "order": "asc"},
}


@pytest.mark.parametrize("filters", WAYS.values(), ids=WAYS)
def test_both_ends_are_inclusive_to_the_microsecond(
    tenant: Tenant, filters: dict[str, Any]
) -> None:
    """With any of the times as bounds, exactly the events from one to the other come."""
    names = list(TIMES)
    for first, length in product(range(len(names)), (1, 2, 4)):
        wanted = names[first : first + length]
        start, end = TIMES[wanted[0]], TIMES[wanted[-1]]
        page = tenant.query(start_time=stamp(start), end_time=stamp(end), **filters)
        assert {row["id"] for row in page["events"]} == set(wanted)
        assert page["total_count"] == len(wanted)


def test_the_list_has_the_same_bounds_as_the_query(tenant: Tenant) -> None:
    """GET takes both bounds at microseconds too, in any offset."""
    zone = datetime.fromisoformat("2024-01-01T00:00:00+05:30").tzinfo
    for name, time in TIMES.items():
        at = time.astimezone(zone).isoformat(timespec="microseconds")
        rows = tenant.page(start_time=at, end_time=at)["events"]
        assert [row["id"] for row in rows] == [name]


def test_a_bound_beyond_microseconds_is_cut(tenant: Tenant) -> None:
    """A bound's fraction is cut at microseconds, not rounded, as an event's is."""
    at = stamp(TIMES["middle"])[:-1] + "999Z"
    assert [row["id"] for row in tenant.page(start_time=at, end_time=at)["events"]] == ["middle"]


def test_without_bounds_the_last_seven_days_are_listed(stack: Stack) -> None:
    """By default the window is the 7 days before its end, and the end is now."""
    tenant = new_tenant(stack, "window-default")
    ages = {"hour": 1, "six": 6 * 24, "almost": 7 * 24 - 1, "just": 7 * 24 + 1, "month": 30 * 24}
    ages["ahead"] = -2
    tenant.send_bulk([event(name, timestamp=ago(hours=hours)) for name, hours in ages.items()])
    tenant.wait_for_count(len(ages))

    def listed(**parameters: Any) -> set[str]:
        by_list = {row["id"] for row in tenant.page(**parameters)["events"]}
        by_query = {row["id"] for row in tenant.query(**parameters)["events"]}
        assert by_list == by_query
        return by_list

    assert listed() == {"hour", "six", "almost"}
    assert listed(external_customer_id="acme") == {"hour", "six", "almost"}
    assert listed(start_time=ago(days=8)) == {"hour", "six", "almost", "just"}
    assert listed(start_time=ago(days=31)) == set(ages) - {"ahead"}
    assert listed(end_time=ago(days=6)) == {"six", "almost", "just"}
    assert listed(end_time=ago(days=29)) == {"month"}
    assert listed(end_time=ago(hours=-3)) == {"ahead", "hour", "six"}
    assert listed(**WIDE) == set(ages)


def test_an_id_is_found_at_any_time(stack: Stack) -> None:
    """With event_id there is no default window, but a window that is asked for holds."""
    tenant = new_tenant(stack, "window-of-an-id")
    tenant.send_bulk(
        [event("old", timestamp=ago(days=1000)), event("ahead", timestamp=ago(hours=-20))]
    )
    tenant.wait_for_count(2)
    for event_id in ("old", "ahead"):
        assert tenant.page(event_id=event_id, count_total="true")["total_count"] == 1
        assert [row["id"] for row in tenant.page(event_id=event_id)["events"]] == [event_id]
        assert [row["id"] for row in tenant.query(event_id=event_id)["events"]] == [event_id]
    assert tenant.page(event_id="old", start_time=ago(days=999))["events"] == []
    assert tenant.page(event_id="old", end_time=ago(days=1001))["events"] == []
    assert tenant.page(event_id="old", external_customer_id="other")["events"] == []
    assert len(tenant.page(event_id="old", external_customer_id="acme")["events"]) == 1


def test_a_walk_keeps_the_window_that_it_began_with(stack: Stack) -> None:
    """Events that come after a walk began are not met, since the first page fixed its end."""
    tenant = new_tenant(stack, "window-of-a-walk")
    tenant.send_bulk([event(f"e{number}", timestamp=ago(minutes=number)) for number in range(1, 7)])
    tenant.wait_for_count(6)
    begun = {order: tenant.page(order=order, page_size=2) for order in ("asc", "desc")}
    tenant.send(event("later"))
    tenant.wait_for("later")
    for order, first in begun.items():
        walk: dict[str, Any] = {"order": order, "page_size": 2}
        second = tenant.page(**walk, iter_last_key=first["iter_last_key"])
        third = tenant.page(**walk, iter_last_key=second["iter_last_key"])
        rows = [row["id"] for page in (first, second, third) for row in page["events"]]
        whole = [f"e{number}" for number in range(1, 7)]
        assert rows == (whole if order == "desc" else whole[::-1])
        assert third["has_more"] is False
        back = tenant.page(**walk, iter_first_key=second["iter_first_key"])
        assert [row["id"] for row in back["events"]] == rows[:2]
        assert back["has_more"] is False


def test_a_walk_begun_with_bounds_goes_on_without_them(tenant: Tenant) -> None:
    """A cursor carries the bounds of its walk, for requests that do not repeat them."""
    bounds = {"start_time": stamp(TIMES["turn"]), "end_time": stamp(TIMES["end"])}
    page = tenant.page(order="asc", page_size=2, **bounds)
    rows = page["events"]
    while page["has_more"]:
        page = tenant.page(order="asc", page_size=2, iter_last_key=page["iter_last_key"])
        rows += page["events"]
    assert [row["id"] for row in rows] == ["turn", "turn+", "middle-", "middle", "middle+", "end"]
