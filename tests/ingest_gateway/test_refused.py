"""The list of what is wrong with events of a bulk."""

from __future__ import annotations

import msgspec
import pytest

from ingest_gateway.refused import BadEvents, RefusedEvents, bad_events, check_count

pytestmark = pytest.mark.unit


def test_the_list_ends_at_its_number() -> None:
    """The first event that has no place in it is pointed out, and so is where it stands."""
    refused = RefusedEvents(max_events=2)
    for place in (3, 5):
        refused.add(place, "field", "is wrong")
        assert refused.over is None
    refused.add(8, "field", "is wrong")
    assert refused.over is not None
    assert ([one.place for one in refused.listed], refused.over.place) == ([3, 5], 8)


@pytest.mark.parametrize("text", ["x", "\u0001", '"', "\u00e9", "\U0001f600"])
def test_the_list_ends_at_its_size_as_it_is_written(text: str) -> None:
    """Characters that are escaped count as what they become."""
    refused = RefusedEvents(max_bytes=100_000)
    while refused.over is None:
        refused.add(10**9, text * 1_000, text * 1_000)
    entries = [
        {"index": place, "code": "validation_error", "field": field, "message": message}
        for place, field, message in refused.listed
    ]
    assert 95_000 < len(msgspec.json.encode(entries)) < 101_000


def test_fields_and_messages_are_cut() -> None:
    """And a message without a field has no colon before it."""
    refused = RefusedEvents()
    refused.add(0, "f" * 1_000, ": " + "m" * 1_000)
    assert refused.listed == [(0, "f" * 100, "m" * 300)]


def test_a_list_that_is_full_is_told() -> None:
    """A sender must not take it for all that is wrong."""
    refused = RefusedEvents(max_events=1)
    refused.add(4, "a", "a: is wrong")
    whole = bad_events(refused, 9, "events")
    assert str(whole) == (
        "1 of 9 events are bad and none was taken; the first is events[4]: a: is wrong"
    )
    assert whole.details == {"errors": [{"index": 4, "field": "a", "message": "a: is wrong"}]}
    refused.add(6, "a", "a: is wrong")
    cut = bad_events(refused, 9, "events")
    assert str(cut).startswith("more than 1 of 9 events are bad")
    assert str(cut).endswith("; details.errors holds no more than those before events[6]")


@pytest.mark.parametrize(("count", "looked_at"), [(0, 1), (10_001, 10_001), (16_000_000, 10_001)])
def test_a_wrong_number_is_refused(count: int, looked_at: int) -> None:
    """It says the limit; what was not looked at is not charged."""
    with pytest.raises(BadEvents, match="1 to 10000 are allowed") as refusal:
        check_count(count, "the batch")
    assert refusal.value.looked_at == looked_at
    check_count(1, "the batch")
    check_count(10_000, "the batch")
