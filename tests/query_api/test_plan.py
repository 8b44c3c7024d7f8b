from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api import plan
from query_api.filters import PropertyFilter
from query_api.request import (
    EPOCH,
    LAST_MOMENT,
    Filters,
    ListRequest,
    Order,
    Position,
    Sort,
    Travel,
    Window,
)
from schemas.tables import EventKey

pytestmark = pytest.mark.unit

NOON = datetime(2024, 3, 20, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)

moments = st.datetimes(
    min_value=EPOCH.replace(tzinfo=None),
    max_value=LAST_MOMENT.replace(tzinfo=None),
    timezones=st.just(UTC),
)
near = st.timedeltas(timedelta(0), timedelta(days=9)).map(lambda delta: NOON - delta)
orders = st.sampled_from(Order)


def request(
    window: Window,
    *,
    filters: Filters | None = None,
    sort: Sort = Sort.TIMESTAMP,
    order: Order = Order.DESC,
    travel: Travel | None = None,
    offset: int = 0,
) -> ListRequest:
    return ListRequest(
        filters=filters or Filters(),
        window=window,
        sort=sort,
        order=order,
        page_size=10,
        travel=travel,
        offset=offset,
    )


@given(ends=st.lists(moments | near, min_size=2, max_size=2).map(sorted), order=orders)
def test_windows_tile_the_whole(ends: list[datetime], order: Order) -> None:
    """The pieces cover each microsecond of the window once, in the direction of travel."""
    start, end = ends
    pieces = list(plan.windows(request(Window(start, end), order=order)))
    in_time = pieces if order is Order.ASC else pieces[::-1]
    assert in_time[0].start == start
    assert in_time[-1].end == end
    for earlier, later in pairwise(in_time):
        assert earlier.end is not None
        assert later.start is not None
        assert earlier.end + TICK == later.start
        assert (later.start - EPOCH) % timedelta(hours=1) == timedelta(0)
    assert len(pieces) <= 5


def test_windows_grow() -> None:
    """The first piece is the hour at which the walk begins, however little of it is wanted."""
    window = Window(NOON - timedelta(days=30), NOON + timedelta(minutes=10))
    starts = [piece.start for piece in plan.windows(request(window))]
    hours = [NOON - timedelta(hours=back) for back in (0, 4, 20, 84)]
    assert starts == [*hours, window.start]


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("backward", [False, True])
def test_windows_begin_at_the_cursor(order: Order, *, backward: bool) -> None:
    """A page that continues reads nothing that lies behind the place it continues from."""
    place = NOON + timedelta(minutes=7)
    window = Window(NOON - timedelta(days=1), NOON + timedelta(days=1))
    travel = Travel(Position("", place, "x"), backward)
    pieces = list(plan.windows(request(window, order=order, travel=travel)))
    goes_down = (order is Order.DESC) != backward
    assert (pieces[0].end if goes_down else pieces[0].start) == place
    assert (pieces[-1].start if goes_down else pieces[-1].end) == window[not goes_down]


def test_windows_of_a_place_outside_are_none() -> None:
    """A cursor behind a narrower window leaves nothing to read."""
    travel = Travel(Position("", NOON - timedelta(days=2), "x"), backward=False)
    asked = request(Window(NOON - timedelta(days=1), NOON), travel=travel)
    assert list(plan.windows(asked)) == []


@pytest.mark.parametrize(
    "asked",
    [
        request(Window(NOON - timedelta(days=7), NOON), sort=Sort.EVENT_NAME),
        request(Window(NOON - timedelta(days=7), NOON), offset=5),
        request(Window(NOON - timedelta(days=7), NOON), filters=Filters(external_customer_id="a")),
        request(Window(None, NOON)),
        request(Window(None, None)),
    ],
)
def test_one_window_where_pieces_would_not_be_exact_or_help(asked: ListRequest) -> None:
    """Another sort, an offset, a customer or an open end is one query."""
    assert list(plan.windows(asked)) == [asked.window]


def test_no_value_stands_in_the_sql() -> None:
    """Whatever a request says goes into parameters, and the SQL names each of them with a type."""
    evil = "x' OR 1=1 --"
    asked = request(
        Window(NOON, NOON),
        sort=Sort.EVENT_NAME,
        filters=Filters(
            external_customer_id=evil,
            event_name=evil,
            event_id=evil,
            source=evil,
            properties=(PropertyFilter(evil, (evil,)),),
        ),
        travel=Travel(Position(evil, NOON, evil), backward=False),
    )
    for statement in (
        plan.page(evil, asked, asked.window, 11, EventKey(0, evil)),
        plan.page(evil, asked, asked.window, 11),
        plan.count(evil, asked),
        plan.by_id(evil, evil, None),
        plan.by_id(evil, evil, EventKey(0, evil)),
        plan.known_key(evil, evil),
    ):
        assert "OR 1=1" not in statement.sql
        assert set(re.findall(r"\{(\w+):", statement.sql)) == set(statement.parameters)


def test_every_read_of_events_is_of_one_tenant_and_final() -> None:
    """No statement reads events across tenants, or before their versions are resolved."""
    asked = request(Window(NOON, NOON))
    for statement in (
        plan.page("acme", asked, asked.window, 11),
        plan.count("acme", asked),
        plan.by_id("acme", "x", None),
    ):
        assert "FROM events FINAL WHERE tenant = {tenant:String} " in statement.sql
        assert statement.parameters["tenant"] == "acme"


def test_bounds_on_time_prune_by_whole_hours_only() -> None:
    """The raw timestamp is compared nowhere: a part could be pruned that holds the newer row."""
    asked = request(
        Window(NOON, NOON + TICK), travel=Travel(Position("", NOON, "x"), backward=False)
    )
    sql = plan.page("acme", asked, asked.window, 11).sql
    where = sql[sql.index("WHERE") :]
    for match in re.finditer(r"(\w+)\(timestamp\)|\btimestamp\b", where):
        assert match[1] in ("toStartOfHour", "identity")
    assert plan.count("acme", asked).parameters["end"] == "2024-03-20 12:00:00.000001"
