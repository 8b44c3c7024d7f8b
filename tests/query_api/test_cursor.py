from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.cursor import Cursor, InvalidCursor, decode, encode
from query_api.request import EPOCH, LAST_MOMENT, Order, Position, Sort, Window

pytestmark = pytest.mark.unit

MOMENT = datetime(2024, 3, 20, 15, 4, 5, 123456, UTC)
CURSOR = Cursor(
    position=Position("", MOMENT, "id-1"),
    backward=False,
    sort=Sort.TIMESTAMP,
    order=Order.DESC,
    window=Window(MOMENT - timedelta(days=7), MOMENT),
)

moments = st.datetimes(
    min_value=EPOCH.replace(tzinfo=None),
    max_value=LAST_MOMENT.replace(tzinfo=None),
    timezones=st.just(UTC),
)
texts = st.text(st.characters(exclude_categories=["Cs"]))
windows = st.builds(Window, st.none() | moments, st.none() | moments)


def read(token: str, **other: Any) -> Cursor:
    asked = {"tenant": "acme", "sort": Sort.TIMESTAMP, "order": Order.DESC, **other}
    return decode(token, **asked)


def changed(**fields: Any) -> str:
    """A token that someone edited."""
    token = encode(CURSOR, "acme")
    value = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    return base64.urlsafe_b64encode(json.dumps(value | fields).encode()).decode()


@given(name=texts, moment=moments, event_id=texts, backward=st.booleans(), window=windows)
def test_returns_what_was_put_in(
    name: str, moment: datetime, event_id: str, backward: bool, window: Window
) -> None:
    """A token carries every part of a cursor, to the microsecond and for any text."""
    cursor = Cursor(
        position=Position(name, moment, event_id),
        backward=backward,
        sort=Sort.EVENT_NAME,
        order=Order.ASC,
        window=window,
    )
    token = encode(cursor, "acme")
    assert token.replace("-", "").replace("_", "").isalnum()
    assert read(token, sort=Sort.EVENT_NAME, order=Order.ASC) == cursor


@given(cut=st.integers(min_value=1))
def test_a_token_cut_short_is_refused(cut: int) -> None:
    """No prefix of a token passes for a token."""
    token = encode(CURSOR, "acme")
    with pytest.raises(InvalidCursor, match="cut short"):
        read(token[: -(cut % len(token) or 1)])


@given(garbage=st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_garbage_is_refused(garbage: str) -> None:
    """Anything that is not a token is refused as such, and raises nothing else."""
    with pytest.raises(InvalidCursor):
        read(garbage)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"tenant": "bolt"}, "another tenant"),
        ({"sort": Sort.EVENT_NAME}, "sorted by timestamp, not by event_name"),
        ({"order": Order.ASC}, "in order desc, not asc"),
    ],
)
def test_a_token_of_another_walk_is_refused(other: dict[str, Any], reason: str) -> None:
    """A token counts only for its tenant, sort and order, and the refusal says which differs."""
    with pytest.raises(InvalidCursor, match=reason):
        read(encode(CURSOR, "acme"), **other)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"v": 2}, "another version"),
        ({"v": "1"}, "another version"),
        ({"timestamp": "yesterday"}, "changed"),
        ({"timestamp": 5}, "changed"),
        ({"of": "middle"}, "changed"),
        ({"more": 1}, "changed"),
        ({"id": None}, "changed"),
        ({"sort": "id"}, "changed"),
        ({"end": "2024-01-01T00:00:00"}, "changed"),
    ],
)
def test_an_edited_token_is_refused(fields: dict[str, Any], reason: str) -> None:
    """Each field of a token is checked, and its version first."""
    with pytest.raises(InvalidCursor, match=reason):
        read(changed(**fields))


def test_times_that_no_event_has_are_brought_into_range() -> None:
    """An edited token can't carry a time that ClickHouse would wrap round."""
    cursor = read(changed(timestamp="0001-01-01T00:00:00Z", end="9999-12-31T23:59:59Z"))
    assert cursor.position.timestamp == EPOCH
    assert cursor.window.end == LAST_MOMENT


def test_nesting_without_end_is_refused() -> None:
    """A token of thousands of brackets is garbage, not a crash."""
    bomb = base64.urlsafe_b64encode(b"[" * 100_000).decode()
    with pytest.raises(InvalidCursor):
        read(bomb)
