"""Sequence's parameters and cursors: what is read, and what is refused with which words."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from query_api import sequence_cursor
from query_api.cursor import Cursor, InvalidCursor
from query_api.cursor import encode as flexprice_token
from query_api.request import LAST_MOMENT, Order, Position, Sort, Window
from query_api.sequence import read_list
from query_api.sequence_request import Edge, UsagePlace, UsageRequest, UsageSort, UsageTravel
from schemas.errors import ApiError
from tests.query_api.rows import NOON
from tests.query_api.usage import send_id

pytestmark = pytest.mark.unit

PLACE = UsagePlace(send_id(1, 2), NOON, "é\0")
MICRO = timedelta(microseconds=1)


def read(*parameters: tuple[str, str], version: str | None = None) -> UsageRequest:
    return read_list([] if version is None else [version], parameters, "acme")


def token(
    at: UsagePlace | Edge = PLACE,
    tenant: str = "acme",
    sort: UsageSort = UsageSort.ID,
    order: Order = Order.DESC,
) -> str:
    return sequence_cursor.encode(at, tenant=tenant, sort=sort, order=order)


def test_nothing_asked_is_the_newest_twenty_of_all_time() -> None:
    """Without parameters there is no window and no filter; newest sends come first."""
    assert read() == UsageRequest(
        aliases=(),
        event_type=None,
        event_id=None,
        window=Window(None, None),
        sort=UsageSort.ID,
        order=Order.DESC,
        limit=20,
        offset=0,
        travel=None,
    )


def test_every_parameter_is_read() -> None:
    """Each goes where it belongs; an alias that stands there twice counts once."""
    wanted = read(
        ("customerAlias", "b"),
        ("limit", "100"),
        ("customerAlias", "a"),
        ("customerAlias", "b"),
        ("offset", "3"),
        ("sortOrder", "aSc"),
        ("sortBy", "eventTimestamp"),
        ("unmappedAliasesOnly", "true"),
        ("eventType", "call"),
        ("eventId", "x"),
        ("eventTimestampAfter", "2024-03-20T14:00:00 02:00"),
        ("eventTimestampBefore", "2024-03-20T12:00:01Z"),
        version="2024-07-30",
    )
    assert wanted == UsageRequest(
        aliases=("b", "a"),
        event_type="call",
        event_id="x",
        window=Window(NOON + MICRO, NOON + timedelta(seconds=1) - MICRO),
        sort=UsageSort.EVENT_TIMESTAMP,
        order=Order.ASC,
        limit=100,
        offset=3,
        travel=None,
    )
    assert read(("sortBy", "createdAt")).sort is read(("sortBy", "id")).sort is UsageSort.ID


@pytest.mark.parametrize(
    ("parameters", "field", "words"),
    [
        ([("limit", "0")], "limit", "1 to 100"),
        ([("limit", "101")], "limit", "1 to 100"),
        ([("limit", "ten")], "limit", "integer"),
        ([("offset", "-1")], "offset", "0 to"),
        ([("offset", "1.5")], "offset", "integer"),
        ([("sortOrder", "down")], "sortOrder", "ASC or DESC, not 'down'"),
        ([("sortBy", "customerAlias")], "sortBy", "id or createdAt or eventTimestamp"),
        ([("unmappedAliasesOnly", "yes")], "unmappedAliasesOnly", "true or false"),
        ([("eventTimestampAfter", "2024-03-20")], "eventTimestampAfter", "offset"),
        ([("eventTimestampBefore", "today")], "eventTimestampBefore", "ISO 8601"),
        ([("after", "x")], "after", "not a cursor"),
        ([("before", token(tenant="other"))], "before", "another tenant"),
        ([("after", token()), ("before", token())], "before", "one of the two"),
        ([("after", token()), ("after", token())], "after", "more than once"),
        ([("eventType", "a"), ("eventType", "b")], "eventType", "more than once"),
        ([("eventId", "")], "eventId", "empty"),
        ([("customerAlias", "a"), ("customerAlias", "")], "customerAlias", "empty"),
        ([("customeralias", "a")], "customeralias", "not a parameter"),
        ([("page_size", "10")], "page_size", "not a parameter"),
        (
            [
                ("eventTimestampAfter", "2024-03-20T12:00:00.000002Z"),
                ("eventTimestampBefore", "2024-03-20T12:00:00.000001Z"),
            ],
            "eventTimestampAfter",
            "is after eventTimestampBefore",
        ),
    ],
)
def test_what_is_at_fault_is_named(
    parameters: list[tuple[str, str]], field: str, words: str
) -> None:
    """A 400 names the parameter and says what is wrong with it."""
    with pytest.raises(ApiError, match=words) as refused:
        read(*parameters)
    assert refused.value.status == 400
    assert refused.value.details == {"field": field}


@pytest.mark.parametrize("version", ["", "2024-07-31", "latest", "2024-07-30 "])
def test_another_version_is_refused(version: str) -> None:
    """The message names the header and the versions that there are."""
    with pytest.raises(ApiError, match=r"Sequence-Version: .*2024-07-30") as refused:
        read(version=version)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("after", "before"),
    [
        (None, "1970-01-01T00:00:00Z"),
        (None, "1969-12-31T23:59:59.9999999Z"),
        ("2106-02-07T05:59:59.999999Z", None),
        ("9999-12-31T23:59:59.999999Z", None),
        ("2024-03-20T12:00:00.000001Z", "2024-03-20T12:00:00.000002Z"),
        ("2024-03-20T12:00:00Z", "2024-03-20T12:00:00Z"),
    ],
)
def test_bounds_between_which_nothing_can_be(after: str | None, before: str | None) -> None:
    """They are a window whose end comes before its start, and never one that overflows."""
    given = {"eventTimestampAfter": after, "eventTimestampBefore": before}
    start, end = read(*((name, text) for name, text in given.items() if text)).window
    assert start is not None
    assert end is not None
    assert end < start <= LAST_MOMENT


def test_a_token_leads_where_its_parameter_says() -> None:
    """A token is a place; ``after`` goes on from it and ``before`` goes back."""
    for at in (PLACE, Edge.START, Edge.END):
        for name, backward in (("after", False), ("before", True)):
            assert read((name, token(at))).travel == UsageTravel(at, backward)
            assert read((name, token(at)), ("offset", "2")).offset == 2


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"tenant": "other"}, "another tenant"),
        ({"sort": UsageSort.EVENT_TIMESTAMP}, "sorted by id, not by eventTimestamp"),
        ({"order": Order.ASC}, "order desc, not asc"),
    ],
)
def test_a_token_belongs_to_its_list(asked: dict[str, Any], words: str) -> None:
    """One of another tenant, sort or order is refused in words that say so."""
    known = {"tenant": "acme", "sort": UsageSort.ID, "order": Order.DESC}
    assert sequence_cursor.decode(token(), **known) == PLACE
    with pytest.raises(InvalidCursor, match=words):
        sequence_cursor.decode(token(), **(known | asked))


@pytest.mark.parametrize(
    "change",
    [
        {"at": "middle"},
        {"at": {"id": "x", "timestamp": "2024-03-20T12:00:00Z", "event_id": ""}},
        {"at": {"id": send_id(1, 1), "timestamp": "noon", "event_id": ""}},
        {"at": None},
        {"v": 2},
        {"more": 1},
        {"sort": "name"},
    ],
)
def test_a_changed_token_is_refused(change: dict[str, Any]) -> None:
    """Whatever was changed in it, it is a 400 and never another page."""
    padded = token() + "=" * (-len(token()) % 4)
    held = json.loads(base64.urlsafe_b64decode(padded))
    changed = base64.urlsafe_b64encode(json.dumps(held | change).encode()).decode()
    with pytest.raises(InvalidCursor):
        sequence_cursor.decode(changed, tenant="acme", sort=UsageSort.ID, order=Order.DESC)


def test_a_token_of_the_other_dialect_is_refused() -> None:
    """FlexPrice's cursors stand for places in other lists."""
    cursor = Cursor(
        position=Position("", NOON, "x"),
        backward=False,
        sort=Sort.TIMESTAMP,
        order=Order.DESC,
        window=Window(None, None),
    )
    with pytest.raises(InvalidCursor, match="not a cursor of this call"):
        sequence_cursor.decode(
            flexprice_token(cursor, "acme"), tenant="acme", sort=UsageSort.ID, order=Order.DESC
        )
