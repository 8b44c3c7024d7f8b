"""How long is waited, and when it is given up."""

from __future__ import annotations

import pytest

from deploy.load.retry import Patience

pytestmark = pytest.mark.unit


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def patience(clock: Clock, retry_for_s: float = 60.0) -> Patience:
    return Patience(retry_for_s, clock=clock, dice=lambda: 1.0)


def test_waits_double_up_to_ten_seconds() -> None:
    """Each failure doubles the wait; a success begins anew."""
    waits = patience(Clock())

    assert [waits.next_delay_s(None) for _ in range(8)] == [0.25, 0.5, 1, 2, 4, 8, 10, 10]
    waits.succeeded()
    assert waits.next_delay_s(None) == 0.25


def test_half_of_a_wait_is_chance() -> None:
    """Loaders that failed together don't come back together."""
    assert Patience(60, clock=Clock(), dice=lambda: 0.0).next_delay_s(None) == 0.125


def test_the_server_s_wish_is_the_least() -> None:
    """Retry-After is never undercut; zero is the ordinary wait."""
    waits = patience(Clock())
    assert waits.next_delay_s(5) == pytest.approx(5.025)
    assert waits.next_delay_s(0) == 0.5


def test_it_ends_without_progress() -> None:
    """The last attempt is made when the time is up, and then no more."""
    clock = Clock()
    waits = patience(clock, 1.0)
    assert waits.next_delay_s(None) == 0.25
    clock.now += 0.9
    assert waits.next_delay_s(None) == pytest.approx(0.1)
    clock.now += 0.1
    assert waits.next_delay_s(None) is None


def test_a_longer_wish_than_is_left_is_not_waited_for() -> None:
    """A server that asks for more than --retry-for is left at once."""
    assert patience(Clock(), 10).next_delay_s(11) is None
    assert patience(Clock(), 0).next_delay_s(None) is None
