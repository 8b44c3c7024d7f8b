"""Walks over many events of equal times and odd IDs: every event once, in one order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.pipeline.client import ODD_IDS, Tenant, event, new_tenant, stamp
from tests.support.stack import Stack

WALKS = [(sort, order) for sort in ("timestamp", "event_name") for order in ("asc", "desc")]
NAMES = ["call", "Call", "call.end", "ende", "énde", "😀" * 255, "z"]
NOON = (datetime.now(UTC) - timedelta(days=2)).replace(hour=12, minute=0, second=0, microsecond=0)


def times() -> list[datetime]:
    """Few times for many events: equal ones, neighbours, and both sides of hours and days."""
    steps = [
        timedelta(),
        timedelta(microseconds=1),
        timedelta(microseconds=-1),
        timedelta(minutes=59, seconds=59, microseconds=999_999),
        timedelta(hours=1),
        timedelta(hours=12),
        timedelta(days=-3),
    ]
    return [NOON + step for step in steps]


def sent_events() -> list[dict[str, Any]]:
    """Some three hundred events; each of the 40 of customer `few` has an odd ID."""
    ids = [*ODD_IDS, *(f"id-{number}" for number in range(260))]
    return [
        event(
            event_id,
            event_name=NAMES[number % 5 if number % 3 else (number // 3) % len(NAMES)],
            external_customer_id="few" if number < 40 else f"many-{number % 3}",
            timestamp=stamp(times()[0 if number % 2 else (number // 2) % len(times())]),
        )
        for number, event_id in enumerate(ids)
    ]


def sort_key(sort: str) -> Any:
    """The contract's total order: (timestamp, ID) or (event_name, timestamp, ID), as bytes."""

    def key(sent: dict[str, Any]) -> tuple[Any, ...]:
        by_time = (sent["timestamp"], sent["event_id"].encode())
        return (sent["event_name"].encode(), *by_time) if sort == "event_name" else by_time

    return key


def expected(sort: str, order: str, customer: str | None = None) -> list[str]:
    """The IDs of the whole walk."""
    events = [sent for sent in sent_events() if customer in (None, sent["external_customer_id"])]
    events.sort(key=sort_key(sort), reverse=order == "desc")
    return [sent["event_id"] for sent in events]


def ids(page: dict[str, Any]) -> list[str]:
    return [row["id"] for row in page["events"]]


@pytest.fixture(scope="module")
def tenant(stack: Stack) -> Tenant:
    tenant = new_tenant(stack, "paging")
    tenant.send_bulk(sent_events())
    tenant.wait_for_count(len(sent_events()))
    return tenant


def chunks(whole: list[str], size: int) -> list[list[str]]:
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def forward(tenant: Tenant, **parameters: Any) -> list[dict[str, Any]]:
    """All pages of a walk by iter_last_key."""
    pages = [tenant.page(**parameters)]
    while pages[-1]["has_more"]:
        pages.append(tenant.page(**parameters, iter_last_key=pages[-1]["iter_last_key"]))
        assert len(pages) <= 1000, "the walk does not end"
    return pages


@pytest.mark.parametrize(("sort", "order"), WALKS)
@pytest.mark.parametrize("page_size", [13, 50])
def test_a_walk_meets_every_event_once_in_order(
    tenant: Tenant, sort: str, order: str, page_size: int
) -> None:
    """Forward by iter_last_key, page after page, the walk is exactly the whole in order."""
    pages = forward(tenant, sort=sort, order=order, page_size=page_size)
    assert [ids(page) for page in pages] == chunks(expected(sort, order), page_size)


@pytest.mark.parametrize(("sort", "order"), WALKS)
@pytest.mark.parametrize("page_size", [1, 3, 20, 39, 40, 41])
def test_a_walk_over_one_customer_is_exact(
    tenant: Tenant, sort: str, order: str, page_size: int
) -> None:
    """With a filter too, for sizes that divide the whole and sizes around it."""
    walk = {"sort": sort, "order": order, "external_customer_id": "few"}
    pages = forward(tenant, page_size=page_size, **walk)
    assert [ids(page) for page in pages] == chunks(expected(sort, order, "few"), page_size)


@pytest.mark.parametrize(("sort", "order"), WALKS)
@pytest.mark.parametrize(("page_size", "customer"), [(50, None), (4, "few")])
def test_a_walk_back_gives_the_same_pages(
    tenant: Tenant, sort: str, order: str, page_size: int, customer: str | None
) -> None:
    """Back by iter_first_key from the last page, each page is the one just before."""
    walk: dict[str, Any] = {"sort": sort, "order": order, "page_size": page_size}
    if customer:
        walk["external_customer_id"] = customer
    pages = forward(tenant, **walk)
    page = pages[-1]
    for before in reversed(pages[:-1]):
        page = tenant.page(**walk, iter_first_key=page["iter_first_key"])
        assert ids(page) == ids(before)
        assert page["has_more"] is (before is not pages[0])
    assert tenant.page(**walk, iter_first_key=page["iter_first_key"])["events"] == []


def test_a_walk_back_that_begins_in_mid_page_ends_with_a_short_page(tenant: Tenant) -> None:
    """Back from the sixth row in pages of four come rows two to five, then row one alone."""
    whole = expected("timestamp", "desc")
    sixth = tenant.page(page_size=1, offset=5)
    back = tenant.page(page_size=4, iter_first_key=sixth["iter_first_key"])
    assert (ids(back), back["has_more"]) == (whole[1:5], True)
    first = tenant.page(page_size=4, iter_first_key=back["iter_first_key"])
    assert (ids(first), first["has_more"]) == (whole[:1], False)


@pytest.mark.parametrize(("sort", "order"), WALKS)
def test_a_cursor_knows_its_direction_whichever_parameter_carries_it(
    tenant: Tenant, sort: str, order: str
) -> None:
    """An iter_last_key goes on and an iter_first_key goes back, also under the other's name."""
    whole = expected(sort, order)
    walk = {"sort": sort, "order": order, "page_size": 10}
    page = tenant.page(**walk, offset=20)
    for parameter in ("iter_last_key", "iter_first_key"):
        on = tenant.page(**walk, **{parameter: page["iter_last_key"]})
        back = tenant.page(**walk, **{parameter: page["iter_first_key"]})
        assert ids(on) == whole[30:40]
        assert ids(back) == whole[10:20]


@pytest.mark.parametrize(("sort", "order"), WALKS)
def test_offsets_cut_the_same_whole(tenant: Tenant, sort: str, order: str) -> None:
    """Paging by offset gives the walk's rows, echoes the offset, and knows the end."""
    whole = expected(sort, order)
    for offset in [*range(0, len(whole), 50), 1, len(whole) - 50, len(whole) - 49, len(whole) - 1]:
        page = tenant.page(sort=sort, order=order, offset=offset)
        assert ids(page) == whole[offset : offset + 50]
        assert page["offset"] == offset
        assert page["has_more"] is (offset + 50 < len(whole))
    for offset in (len(whole), len(whole) + 1, 1_000_000):
        page = tenant.page(sort=sort, order=order, offset=offset)
        assert (page["events"], page["has_more"], page["offset"]) == ([], False, offset)


@pytest.mark.parametrize(("sort", "order"), WALKS)
def test_a_query_walks_like_the_list(tenant: Tenant, sort: str, order: str) -> None:
    """POST /v1/events/query gives the same order, and its cursors and the list's are one kind."""
    whole = expected(sort, order)
    walk = {"sort": sort, "order": order}
    page = tenant.query(page_size=101, **walk)
    assert (ids(page), page["has_more"]) == (whole[:101], True)
    page = tenant.query(page_size=1000, iter_last_key=page["iter_last_key"], **walk)
    assert (ids(page), page["has_more"]) == (whole[101:], False)
    back = tenant.page(page_size=50, iter_first_key=page["iter_first_key"], **walk)
    assert ids(back) == whole[51:101]


def test_the_total_is_counted_when_asked_for(tenant: Tenant) -> None:
    """total_count is null in a list unless asked for, and the whole's on every page of a query."""
    count, few = len(sent_events()), 40
    assert tenant.page()["total_count"] is None
    assert tenant.page(count_total="false")["total_count"] is None
    assert tenant.page(count_total="true", page_size=1)["total_count"] == count
    assert tenant.page(count_total="true", offset=200)["total_count"] == count
    assert tenant.page(count_total="true", external_customer_id="few")["total_count"] == few
    first = tenant.query(page_size=10)
    assert first["total_count"] == count
    assert tenant.query(iter_last_key=first["iter_last_key"])["total_count"] == count
    assert tenant.query(external_customer_id="few", page_size=1)["total_count"] == few
    assert tenant.query(count_total=False)["total_count"] is None
    assert tenant.query(external_customer_id="nobody")["total_count"] == 0


def test_the_defaults_are_fifty_of_the_newest(tenant: Tenant) -> None:
    """Without parameters come the fifty newest, newest first, from offset 0."""
    page = tenant.page()
    assert ids(page) == expected("timestamp", "desc")[:50]
    assert (page["has_more"], page["offset"]) == (True, 0)
    assert ids(tenant.query()) == ids(page)


def test_a_page_size_over_the_maximum_is_the_maximum(stack: Stack) -> None:
    """A list gives at most 50 and a query at most 1000, without an error."""
    tenant = new_tenant(stack, "paging-maximum")
    tenant.send_bulk([event(f"e{number:04}") for number in range(1005)])
    tenant.wait_for_count(1005)
    for page_size in (51, 1000, 2**31, 2**63, 10**30):
        assert len(tenant.page(page_size=page_size)["events"]) == 50
    for page_size in (1000, 1001, 10_000, 2**31):
        page = tenant.query(page_size=page_size)
        assert (len(page["events"]), page["has_more"], page["total_count"]) == (1000, True, 1005)


def test_an_empty_page_has_every_key(tenant: Tenant) -> None:
    """Where nothing matches, the cursors are null and there is no more."""
    for page in (tenant.page(event_name="nothing"), tenant.query(event_name="nothing")):
        assert page.pop("total_count") in (None, 0)
        assert page == {
            "events": [],
            "has_more": False,
            "iter_first_key": None,
            "iter_last_key": None,
            "offset": 0,
        }
