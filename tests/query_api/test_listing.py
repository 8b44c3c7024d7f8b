"""Lists against the real engine, compared with brute force over random events."""

from __future__ import annotations

from datetime import datetime

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.query_api.conftest import Api, new_tenant
from tests.query_api.rows import Row, Table, at, in_order, text

ALL = {"start_time": text(at(-600)), "end_time": text(at(600))}
SORTS = ("timestamp", "event_name")
ORDERS = ("asc", "desc")

# Few distinct times, names and characters: ties are what paging gets wrong.
ids = st.text("aAbé\u00ff\uffff\U0001f600/%'\\\n\t\0 ", min_size=1, max_size=3)
times = st.sampled_from([-61.0, -60.0, -1.0, 0.0, 0.5, 59.0, 60.0, 200.0]).map(at) | st.integers(
    0, 3
).map(lambda micros: at(0, micros=micros))
names = st.sampled_from(["a", "b", "B", "é", "a b"])
events = st.lists(
    st.tuples(ids, times, names), min_size=1, max_size=14, unique_by=lambda event: event[0]
)


@given(
    events=events,
    sort=st.sampled_from(SORTS),
    order=st.sampled_from(ORDERS),
    page_size=st.integers(1, 6),
)
@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_a_walk_meets_each_event_once_there_and_back(
    api: Api,
    table: Table,
    events: list[tuple[str, datetime, str]],
    sort: str,
    order: str,
    page_size: int,
) -> None:
    """All pages by cursor, forward and then back, are the brute-force order cut into pages."""
    tenant = new_tenant()
    rows = [Row(tenant, event_id, moment, name) for event_id, moment, name in events]
    table.insert(*rows)
    expected = in_order(rows, sort, order)
    asked = {"sort": sort, "order": order, "page_size": page_size}

    answer = await api.get(tenant, **ALL, **asked)
    met: list[str] = []
    while True:
        page = [event["id"] for event in answer.body["events"]]
        assert page == expected[len(met) : len(met) + page_size]
        met += page
        assert answer.body["has_more"] == (len(met) < len(expected))
        if not answer.body["has_more"]:
            break
        answer = await api.get(tenant, **asked, iter_last_key=answer.body["iter_last_key"])
    after = await api.get(tenant, **asked, iter_last_key=answer.body["iter_last_key"])
    assert after.body["events"] == []
    assert after.body["iter_first_key"] is None

    first = len(met) - len(page)
    while first > 0:
        answer = await api.get(tenant, **asked, iter_first_key=answer.body["iter_first_key"])
        begin = max(0, first - page_size)
        assert [event["id"] for event in answer.body["events"]] == expected[begin:first]
        first = begin
        assert answer.body["has_more"] == (first > 0)


@given(
    events=events,
    bounds=st.tuples(times, times),
    sort=st.sampled_from(SORTS),
    order=st.sampled_from(ORDERS),
    offset=st.integers(0, 4),
    page_size=st.integers(1, 6),
    name=st.none() | names,
)
@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_a_window_with_filter_and_offset_is_as_by_brute_force(
    api: Api,
    table: Table,
    events: list[tuple[str, datetime, str]],
    bounds: tuple[datetime, datetime],
    sort: str,
    order: str,
    offset: int,
    page_size: int,
    name: str | None,
) -> None:
    """Both ends are inclusive to the microsecond; the count is of the whole list."""
    tenant = new_tenant()
    rows = [Row(tenant, event_id, moment, name) for event_id, moment, name in events]
    table.insert(*rows)
    start, end = sorted(bounds)
    found = [
        row
        for row in rows
        if start <= row.timestamp <= end and (name is None or row.event_name == name)
    ]
    expected = in_order(found, sort, order)
    answer = await api.post(
        tenant,
        start_time=text(start),
        end_time=text(end),
        sort=sort,
        order=order,
        offset=offset,
        page_size=page_size,
        event_name=name,
    )
    page = [event["id"] for event in answer.body["events"]]
    assert page == expected[offset : offset + page_size]
    assert answer.body["total_count"] == len(expected)
    assert answer.body["has_more"] == (len(expected) > offset + page_size)
    assert answer.body["offset"] == offset


Send = tuple[str, datetime, str, str, bool]  # ID, time, customer, name, whether it is indexed

moves = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from([-65, -1, 0, 10, 30, 59, 61]).map(at),
        st.sampled_from(["acme", "bolt"]),
        st.sampled_from(["call", "mail"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@given(sends=moves, bounds=st.tuples(times, times), size=st.integers(1, 3))
@hypothesis_settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_corrections_in_unmerged_parts_are_resolved(
    api: Api, table: Table, sends: list[Send], bounds: tuple[datetime, datetime], size: int
) -> None:
    """IDs sent again and again, each row a part of its own: any window, filter and look-up sees
    the last send only.
    """
    tenant = new_tenant()
    known: dict[str, dict[tuple[datetime, str], Row]] = {}
    last: dict[str, Row] = {}
    for version, (event_id, moment, customer, name, is_indexed) in enumerate(sends, 1):
        row = Row(tenant, event_id, moment, name, customer, version=version)
        keys = known.setdefault(event_id, {})
        key = (moment.replace(minute=0), customer)
        table.insert(row)
        for other, old in keys.items():
            if other != key:
                table.insert(old._replace(version=version - 1).tombstone)
        keys[key] = row
        last[event_id] = row
        if is_indexed:
            table.index(row)
    start, end = sorted(bounds)
    live = [row for row in last.values() if start <= row.timestamp <= end]
    window = {"start_time": text(start), "end_time": text(end), "order": "asc"}
    for filters in (
        {},
        {"external_customer_id": "acme"},
        {"event_name": "call"},
        {"event_name": "mail", "external_customer_id": "bolt"},
    ):
        found = [
            row
            for row in live
            if all(getattr(row, name) == value for name, value in filters.items())
        ]
        expected = in_order(found, "timestamp", "asc")
        assert await api.listed(tenant, **window, **filters) == expected
        page = await api.post(tenant, **window, **filters, page_size=size)
        assert [event["id"] for event in page.body["events"]] == expected[:size]
        assert page.body["has_more"] == (len(expected) > size)
    for event_id, row in last.items():
        answer = await api.look_up(tenant, event_id)
        assert answer.body["event_name"] == row.event_name
        assert answer.body["external_customer_id"] == row.external_customer_id
        assert await api.listed(tenant, event_id=event_id) == [event_id]
        in_window = start <= row.timestamp <= end
        assert await api.listed(tenant, event_id=event_id, **window) == [event_id] * in_window
