"""Reading FlexPrice's parameters, from a URL and from JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from query_api import cursor
from query_api.cursor import Cursor
from query_api.filters import PropertyFilter
from query_api.flexprice import read_query
from query_api.request import (
    EPOCH,
    LAST_MOMENT,
    Filters,
    ListRequest,
    Order,
    Sort,
    Window,
)
from schemas.errors import ApiError
from tests.query_api.asking import NOW, PLACE, WEEK, get

pytestmark = pytest.mark.unit


def post(**parameters: Any) -> ListRequest:
    return read_query(json.dumps(parameters).encode(), "acme", NOW, WEEK)


def token(
    *,
    backward: bool = False,
    tenant: str = "acme",
    sort: Sort = Sort.TIMESTAMP,
    order: Order = Order.DESC,
) -> str:
    window = Window(NOW - timedelta(days=3), NOW - timedelta(hours=1))
    return cursor.encode(
        Cursor(position=PLACE, backward=backward, sort=sort, order=order, window=window), tenant
    )


def test_nothing_given_is_the_newest_page_of_seven_days() -> None:
    """The defaults: 50 events, newest first, of the week before now; only POST counts."""
    request = ListRequest(
        filters=Filters(),
        window=Window(NOW - WEEK, NOW),
        sort=Sort.TIMESTAMP,
        order=Order.DESC,
        page_size=50,
    )
    assert get() == request
    counted = post()
    assert counted.count_total
    assert counted.window == request.window


def test_get_and_post_read_the_same() -> None:
    """Each parameter of the URL has its twin in the JSON body."""
    from_url = get(
        ("external_customer_id", "c"),
        ("event_name", "n"),
        ("event_id", "i"),
        ("source", "s"),
        ("start_time", "2024-03-01T00:00:00Z"),
        ("end_time", "2024-03-02T00:00:00.5+02:00"),
        ("property_filters", "a:1,2;b.c:3"),
        ("page_size", "7"),
        ("offset", "3"),
        ("sort", "event_name"),
        ("order", "asc"),
        ("count_total", "true"),
    )
    assert from_url == post(
        external_customer_id="c",
        event_name="n",
        event_id="i",
        source="s",
        start_time="2024-03-01T00:00:00Z",
        end_time="2024-03-02T00:00:00.5+02:00",
        property_filters={"a": ["1", "2"], "b.c": ["3"]},
        page_size=7,
        offset=3,
        sort="event_name",
        order="asc",
        count_total=True,
    )
    assert from_url.filters.properties == (
        PropertyFilter("a", ("1", "2")),
        PropertyFilter("b.c", ("3",)),
    )
    assert from_url.window.end == datetime(2024, 3, 1, 22, 0, 0, 500_000, UTC)


def test_null_in_json_is_not_given() -> None:
    """A client that writes out its empty fields as null gets the defaults."""
    names = ("event_name", "start_time", "property_filters", "page_size", "sort", "iter_last_key")
    assert post(**dict.fromkeys(names)) == post()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page_size", "0"),
        ("page_size", "-1"),
        ("page_size", "ten"),
        ("page_size", "1.5"),
        ("page_size", "\u0661"),
        ("page_size", "9" * 5000),
        ("offset", "-1"),
        ("offset", "x"),
        ("offset", "9" * 30),
        ("start_time", "2024-03-01T00:00:00"),
        ("start_time", "2024-03-01 00:00:00"),
        ("start_time", "2024-03-01 00:00"),
        ("start_time", "yesterday"),
        ("start_time", "0001-01-01T00:00:00+14:00"),
        ("end_time", "2024-03-01"),
        ("end_time", "1710936000"),
        ("sort", "Timestamp"),
        ("sort", "id"),
        ("order", "DESC"),
        ("order", "up"),
        ("count_total", "True"),
        ("count_total", "yes"),
        ("property_filters", "novalue"),
        ("property_filters", "a:"),
        ("iter_last_key", "garbage"),
        ("iter_last_key", token(tenant="bolt")),
        ("iter_last_key", token(order=Order.ASC)),
        ("iter_first_key", token(sort=Sort.EVENT_NAME)),
        ("iter_first_key", token()[:-5]),
        *(
            (name, "")
            for name in (
                *("external_customer_id", "event_name", "event_id", "source", "start_time"),
                *("end_time", "property_filters", "page_size", "offset", "sort", "order"),
                *("count_total", "iter_first_key", "iter_last_key"),
            )
        ),
    ],
)
def test_get_names_the_parameter_at_fault(name: str, value: str) -> None:
    """Each bad value in a URL is a 400 that names its parameter, in the text and to a program."""
    with pytest.raises(ApiError) as caught:
        get((name, value))
    assert caught.value.status == 400
    assert caught.value.code == "validation_error"
    assert caught.value.details == {"field": name}
    assert str(caught.value).startswith(f"{name}: ")


@pytest.mark.parametrize("name", ["customer", "Event_name"])
def test_a_parameter_that_does_not_exist_is_named(name: str) -> None:
    """In quotes, since a sender may have put anything there, and what is quoted is not logged."""
    for ask in (lambda: get((name, "x")), lambda: post(**{name: "x"})):
        with pytest.raises(ApiError, match=f"'{name}' is not a parameter") as caught:
            ask()
        assert caught.value.details == {"field": name}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page_size", 0),
        ("page_size", "10"),
        ("page_size", 1.5),
        ("page_size", True),
        ("offset", -1),
        ("offset", 10**30),
        ("start_time", "2024-03-01T00:00:00"),
        ("start_time", 1710936000),
        ("end_time", ""),
        ("sort", ""),
        ("order", "Asc"),
        ("count_total", "true"),
        ("count_total", 1),
        ("event_name", ""),
        ("event_id", 5),
        ("external_customer_id", []),
        ("property_filters", "a:1"),
        ("property_filters", {"a": "1"}),
        ("property_filters", {"a": [1]}),
        ("property_filters", {"a": []}),
        ("iter_last_key", ""),
        ("iter_first_key", token(tenant="bolt")),
    ],
)
def test_post_names_the_parameter_at_fault(name: str, value: object) -> None:
    """Each bad value in a JSON body is a 400 that names its parameter."""
    with pytest.raises(ApiError) as caught:
        post(**{name: value})
    assert caught.value.status == 400
    assert caught.value.details == {"field": name}
    assert str(caught.value).startswith(f"{name}: ")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b'{"event_name":"\xff"}', b'{"sort":"\\ud800"}', b"[" * 9999],
)
def test_a_body_that_is_no_query_is_refused(body: bytes) -> None:
    """A body that is not a JSON object in UTF-8 is a 400, whatever it is instead."""
    with pytest.raises(ApiError) as caught:
        read_query(body, "acme", NOW, WEEK)
    assert caught.value.status == 400


def test_a_repeated_parameter_is_refused() -> None:
    """Neither of two values silently wins."""
    with pytest.raises(ApiError, match=r"^event_name: .*more than once"):
        get(("event_name", "a"), ("event_name", "a"))


def test_page_size_is_clamped() -> None:
    """A larger page than allowed is the largest allowed, which differs by call."""
    assert get(("page_size", "51")).page_size == 50
    assert get(("page_size", "9" * 100)).page_size == 50
    assert post(page_size=1000).page_size == 1000
    assert post(page_size=1001).page_size == 1000


@pytest.mark.parametrize("counts", ["true", "1"])
def test_get_counts_only_when_asked(counts: str) -> None:
    """count_total is read as text on GET, and as a JSON boolean on POST."""
    assert get(("count_total", counts)).count_total
    assert not get(("count_total", "false")).count_total
    assert not get(("count_total", "0")).count_total
    assert not post(count_total=False).count_total


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-01T00:00:00 02:00", datetime(2023, 12, 31, 22, tzinfo=UTC)),
        ("2024-01-01T00:00:00.25 0200", datetime(2023, 12, 31, 22, 0, 0, 250_000, UTC)),
        ("2024-01-01t00:00:00+02:00", datetime(2023, 12, 31, 22, tzinfo=UTC)),
        ("2024-01-01 00:00:00 00:00", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2024-01-01T00:00:00.123456999Z", datetime(2024, 1, 1, 0, 0, 0, 123_456, UTC)),
    ],
)
def test_times_in_a_url(text: str, moment: datetime) -> None:
    """A '+' that a URL turned into a space still is one, and digits past microseconds are cut."""
    assert get(("end_time", text)).window == Window(moment - WEEK, moment)


def test_the_default_start_goes_back_from_the_end() -> None:
    """An end alone gives the week before it; a start alone runs until now."""
    assert get(("end_time", "2024-01-08T00:00:00Z")).window.start == datetime(
        2024, 1, 1, tzinfo=UTC
    )
    assert get(("start_time", "2024-01-08T00:00:00Z")).window.end == NOW


def test_start_after_end_is_refused_only_if_both_were_given() -> None:
    """Two bounds that exclude everything are a mistake; a start a little ahead of our clock is a
    clock, and gives an empty page.
    """
    with pytest.raises(ApiError, match=r"^start_time: is after end_time"):
        post(start_time="2024-01-02T00:00:00Z", end_time="2024-01-01T23:59:59.999999Z")
    assert post(start_time="2024-01-02T00:00:00Z", end_time="2024-01-02T00:00:00Z")
    ahead = post(start_time="2024-03-20T12:00:01Z").window
    assert ahead.start is not None
    assert ahead.end is not None
    assert ahead.start > ahead.end


def test_absurd_times_are_brought_into_range() -> None:
    """A window far outside what ClickHouse can hold asks for all there can be."""
    request = get(("start_time", "0001-01-01T00:00:00Z"), ("end_time", "9999-12-31T23:59:59Z"))
    assert request.window == Window(EPOCH, LAST_MOMENT)
    assert get(("end_time", "0001-01-01T00:00:00Z")).window == Window(EPOCH, EPOCH)


def test_an_event_id_has_no_default_window() -> None:
    """An ID is looked for in all of time, unless a start is given."""
    assert get(("event_id", "x")).window == Window(None, None)
    end = ("end_time", "2024-01-08T00:00:00Z")
    assert get(("event_id", "x"), end).window == Window(None, datetime(2024, 1, 8, tzinfo=UTC))
    start = ("start_time", "2024-01-08T00:00:00Z")
    assert get(("event_id", "x"), start).window == Window(datetime(2024, 1, 8, tzinfo=UTC), NOW)
