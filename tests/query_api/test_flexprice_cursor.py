"""Cursors as FlexPrice's parameters carry them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from query_api import cursor
from query_api.cursor import Cursor
from query_api.request import (
    Order,
    Sort,
    Travel,
    Window,
)
from schemas.errors import ApiError
from tests.query_api.asking import NOW, PLACE, get

pytestmark = pytest.mark.unit


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


@pytest.mark.parametrize("parameter", ["iter_first_key", "iter_last_key"])
@pytest.mark.parametrize("backward", [False, True])
def test_a_token_means_the_same_in_either_parameter(parameter: str, *, backward: bool) -> None:
    """Which end of a page a token was issued for decides the direction, not where it is put."""
    request = get((parameter, token(backward=backward)))
    assert request.travel == Travel(PLACE, backward)
    assert request.fetch_order is (Order.ASC if backward else Order.DESC)


def test_a_walk_keeps_its_window() -> None:
    """What the request leaves out is as the walk's first request came to, not relative to now."""
    walk = Window(NOW - timedelta(days=3), NOW - timedelta(hours=1))
    assert get(("iter_last_key", token())).window == walk
    start = "2024-03-20T00:00:00Z"
    narrower = get(("iter_last_key", token()), ("start_time", start)).window
    assert narrower == Window(datetime(2024, 3, 20, tzinfo=UTC), walk.end)


def test_cursors_and_offsets_that_conflict_are_refused() -> None:
    """An offset with a cursor, or two different cursors, say two things at once."""
    with pytest.raises(ApiError, match=r"^offset: "):
        get(("iter_last_key", token()), ("offset", "1"))
    with pytest.raises(ApiError, match=r"^iter_first_key: conflicts"):
        get(("iter_last_key", token()), ("iter_first_key", token(backward=True)))
    same = get(("iter_last_key", token()), ("iter_first_key", token()), ("offset", "0"))
    assert same == get(("iter_last_key", token()))
