"""Counting bytes in flight."""

from __future__ import annotations

import pytest

from ingest_gateway.admission import Admission

pytestmark = pytest.mark.unit


def test_room_is_taken_and_given_back() -> None:
    """What is over the limit is refused at once, and fits again after something was given back."""
    admission = Admission(max_bytes_in_flight=10)
    first, second = admission.room("a"), admission.room("b")
    assert first.take(6)
    assert not second.take(5)
    assert second.take(4)
    first.give_back()
    assert admission.bytes_in_flight == 4
    assert first.take(5)


def test_one_key_takes_no_more_than_its_part() -> None:
    """Its requests share a limit of their own, and leave the rest to others."""
    admission = Admission(max_bytes_in_flight=10, max_bytes_per_key=6)
    one, same, other = admission.room("a"), admission.room("a"), admission.room("b")
    assert one.take(4)
    assert not same.take(3)
    assert same.take(2)
    assert other.take(4)
    one.give_back()
    assert same.take(4)


def test_a_request_gives_back_what_it_took_and_no_more() -> None:
    """A refused part is not counted, a part may go first, and giving back twice changes nothing."""
    admission = Admission(max_bytes_in_flight=10)
    room = admission.room("a")
    assert room.take(8)
    assert not room.take(3)
    assert (room.size_bytes, admission.bytes_in_flight) == (8, 8)
    room.give_back(5)
    assert (room.size_bytes, admission.bytes_in_flight) == (3, 3)
    room.give_back()
    room.give_back()
    assert admission.bytes_in_flight == 0
