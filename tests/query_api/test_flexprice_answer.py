from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from query_api import cursor
from query_api.flexprice_answer import listed, page_answer
from query_api.listing import Page
from query_api.plan import StoredEvent
from query_api.request import Filters, ListRequest, Order, Sort, Window

pytestmark = pytest.mark.unit

REQUEST = ListRequest(
    filters=Filters(),
    window=Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)),
    sort=Sort.EVENT_NAME,
    order=Order.ASC,
    page_size=2,
    offset=4,
)


def stored(event_id: str = "e", **other: object) -> StoredEvent:
    values: dict[str, object] = {
        "event_id": event_id,
        "event_name": "call",
        "external_customer_id": "acme",
        "customer_id": "",
        "source": "",
        "micros": 1_704_067_200_000_000,
        "properties": "{}",
        "version": 1,
    }
    return StoredEvent(**(values | other))  # type: ignore[arg-type]


def test_every_key_is_present_and_null_if_empty() -> None:
    """The TypeScript client rejects a missing key, so all eight are always there."""
    assert msgspec.json.decode(msgspec.json.encode(listed(stored(), "t"))) == {
        "id": "e",
        "event_name": "call",
        "external_customer_id": "acme",
        "customer_id": None,
        "timestamp": "2024-01-01T00:00:00Z",
        "properties": {},
        "source": None,
        "environment_id": "t",
    }


def test_properties_are_passed_through_byte_for_byte() -> None:
    """Spaces, key order, long integers and escapes come back exactly as they were stored."""
    text = '{"b": 18446744073709551617, "a":1.50,"\\u00e9":"é", "{\\"x\\"":null}'
    assert text.encode() in msgspec.json.encode(listed(stored(properties=text), "t"))


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000001Z"),
        (1_704_067_200_100_000, "2024-01-01T00:00:00.100000Z"),
        (4_294_965_599_999_999, "2106-02-07T05:59:59.999999Z"),
    ],
)
def test_timestamps_show_microseconds_only_if_there_are_any(micros: int, text: str) -> None:
    """RFC 3339 in UTC with Z, without a fraction of zero."""
    assert listed(stored(micros=micros), "t").timestamp == text


def test_a_page_carries_the_cursors_of_both_ends() -> None:
    """The first key goes back before the first event, the last one on after the last."""
    answer = page_answer(
        Page([stored("a"), stored("b")], has_more=True, total_count=9), REQUEST, "t"
    )
    assert (answer.has_more, answer.total_count, answer.offset) == (True, 9, 4)
    for key, event_id, backward in (
        (answer.iter_first_key, "a", True),
        (answer.iter_last_key, "b", False),
    ):
        assert key is not None
        read = cursor.decode(key, tenant="t", sort=REQUEST.sort, order=REQUEST.order)
        assert (read.position.event_id, read.backward) == (event_id, backward)
        assert read.window == REQUEST.window


def test_an_empty_page_has_no_cursors() -> None:
    """Where nothing was found, there is no place to continue from."""
    answer = page_answer(Page([], has_more=False, total_count=0), REQUEST, "t")
    assert (answer.events, answer.iter_first_key, answer.iter_last_key) == ([], None, None)
