"""Counting bytes in flight."""

from __future__ import annotations

import pytest

from ingest_gateway.admission import Admission, Room

pytestmark = pytest.mark.unit


def test_room_is_taken_and_given_back() -> None:
    """What is over the limit is refused at once, and fits again after something was given back."""
    admission = Admission(max_bytes_in_flight=10)
    assert admission.take(6)
    assert not admission.take(5)
    assert admission.take(4)
    admission.give_back(6)
    assert admission.bytes_in_flight == 4
    assert admission.take(5)


def test_a_request_gives_back_what_it_took_and_no_more() -> None:
    """A refused part is not counted, and giving back twice changes nothing."""
    admission = Admission(max_bytes_in_flight=10)
    room = Room(admission)
    assert room.take(8)
    assert not room.take(3)
    assert (room.size_bytes, admission.bytes_in_flight) == (8, 8)
    room.give_back()
    room.give_back()
    assert admission.bytes_in_flight == 0
