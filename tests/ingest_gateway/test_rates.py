"""Token buckets of each key, on a clock that the test moves."""

from __future__ import annotations

import msgspec
import pytest

from ingest_gateway.rates import BYTES_PER_S, EVENTS_PER_S, Rates
from schemas.keys import KeyRecord, make_key

pytestmark = pytest.mark.unit


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def key(**limits: float) -> KeyRecord:
    return msgspec.structs.replace(make_key("acme", "").record, **limits)


def test_without_limits_nothing_is_held(clock: Clock) -> None:
    """The default is no limit, and costs no memory."""
    rates, caller = Rates(clock=clock), key()
    rates.charge(caller, 10**9, 10**12)
    assert (rates.wait_s(caller), rates.keys_held) == (0.0, 0)


def test_a_second_of_burst_then_the_rate(clock: Clock) -> None:
    """A key at rest may send a second's worth at once; then it waits for as much as it owes."""
    rates, caller = Rates(events_per_s=8, clock=clock), key()
    for _ in range(9):  # the last one on credit
        assert rates.wait_s(caller) == 0.0
        rates.charge(caller, 1, 0)
    assert rates.wait_s(caller) == 0.125
    clock.now += 0.125
    assert rates.wait_s(caller) == 0.0


@pytest.mark.parametrize("cost", [1, 7, 1000])
def test_the_rate_in_the_long_run_is_exact(clock: Clock, cost: int) -> None:
    """Whether it comes one by one or in bulks: an hour's worth is the limit times an hour."""
    rates, caller, sent = Rates(events_per_s=100, clock=clock), key(), 0
    end = clock.now + 3600
    for _ in range(1_000_000):
        clock.now += rates.wait_s(caller) + 1e-6
        if clock.now >= end:
            break
        rates.charge(caller, cost, 0)
        sent += cost
    assert sent == pytest.approx(100 * 3600, rel=0.003)


def test_a_bulk_over_the_burst_passes_once_and_is_paid_off(clock: Clock) -> None:
    """Nothing is too large to be sent ever; the wait told is the wait it takes."""
    rates, caller = Rates(events_per_s=10, clock=clock), key()
    rates.charge(caller, 1000, 0)
    wait_s = rates.wait_s(caller)
    assert wait_s == pytest.approx(99)
    clock.now += wait_s / 2
    assert rates.wait_s(caller) == pytest.approx(wait_s / 2)
    clock.now += wait_s / 2 + 1e-6
    assert rates.wait_s(caller) == 0.0


def test_the_longest_debt_is_named(clock: Clock) -> None:
    """Of events and bytes the one that takes longer, with the limit's own name and value."""
    rates, caller = Rates(events_per_s=10, bytes_per_s=1000, clock=clock), key()
    rates.charge(caller, 30, 2000)
    debt = rates.debt(caller)
    assert debt is not None
    assert (debt.limit, debt.per_s, debt.wait_s) == (EVENTS_PER_S, 10, pytest.approx(2))
    rates.charge(caller, 0, 5000)
    debt = rates.debt(caller)
    assert debt is not None
    assert (debt.limit, debt.per_s, debt.wait_s) == (BYTES_PER_S, 1000, pytest.approx(6))


def test_a_keys_own_limits_stand_before_the_gateways(clock: Clock) -> None:
    """A key may have more or less than the default, or no limit at all; each limit by itself."""
    rates = Rates(events_per_s=10, bytes_per_s=1000, clock=clock)
    tight, wide, free = key(events_per_s=1.0), key(events_per_s=1e6), key(events_per_s=0.0)
    for caller in (tight, wide, free):
        rates.charge(caller, 100, 0)
    assert rates.wait_s(tight) == pytest.approx(99)
    assert (rates.wait_s(wide), rates.wait_s(free)) == (0.0, 0.0)
    rates.charge(free, 0, 3000)
    assert rates.wait_s(free) == pytest.approx(2)


def test_a_limit_that_was_lifted_holds_nobody_up(clock: Clock) -> None:
    """The record of a key may change while it is in debt."""
    rates, caller = Rates(clock=clock), key(events_per_s=1.0)
    rates.charge(caller, 1000, 0)
    assert rates.wait_s(caller) > 900
    assert rates.wait_s(msgspec.structs.replace(caller, events_per_s=None)) == 0.0


def test_one_keys_debt_is_no_others(clock: Clock) -> None:
    """Keys of one tenant, too, are counted apart."""
    rates, noisy, quiet = Rates(events_per_s=1, clock=clock), key(), key()
    rates.charge(noisy, 1000, 0)
    assert (rates.wait_s(noisy) > 0, rates.wait_s(quiet)) == (True, 0.0)


def test_keys_at_rest_are_forgotten(clock: Clock) -> None:
    """Ten thousand keys that sent once hold no memory for ever; a debt is not forgotten."""
    rates, debtor = Rates(events_per_s=10, bytes_per_s=10, clock=clock), key()
    rates.charge(debtor, 10_000, 0)
    for number in range(10_000):
        rates.charge(msgspec.structs.replace(debtor, key_id=f"key_{number}"), 1, 1)
    assert rates.keys_held == 10_001
    clock.now += 61
    rates.charge(debtor, 1, 0)
    assert rates.keys_held == 1
    assert rates.wait_s(debtor) == pytest.approx(1000 - 1 + 0.1 - 61)
