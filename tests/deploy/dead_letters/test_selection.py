"""Which dead letters a command means."""

from __future__ import annotations

import pytest

from deploy.dead_letters.selection import Flags, Selection
from tests.deploy.dead_letters.letters import letter

pytestmark = pytest.mark.unit

ONE = letter(1, tenant="acme", reason="Cannot parse input", appended="2026-03-01T12:00:00.500Z")


@pytest.mark.parametrize(
    ("flags", "meant"),
    [
        (Flags(), True),
        (Flags(origins=["tally.events/2/1"]), True),
        (Flags(origins=["tally.events/2/2", "tally.events/2/1"]), True),
        (Flags(origins=["tally.events/2/2"]), False),
        (Flags(tenant="acme"), True),
        (Flags(tenant="acm"), False),
        (Flags(reason="parse"), True),
        (Flags(reason="cannot PARSE"), True),
        (Flags(reason="constraint"), False),
        (Flags(since="2026-03-01T12:00:00.5Z"), True),
        (Flags(since="2026-03-01T12:00:00.500001Z"), False),
        (Flags(until="2026-03-01T12:00:00.5Z"), True),
        (Flags(until="2026-03-01T13:00:00.499999+01:00"), False),
        (Flags(since="2026-03-01T12:00:00Z", until="2026-03-01T12:00:01Z"), True),
        (Flags(tenant="acme", reason="constraint"), False),
    ],
    ids=str,
)
def test_a_letter_is_meant_if_every_filter_says_so(flags: Flags, meant: bool) -> None:
    """Tenants are whole, reasons are parts in any case, both bounds are inclusive."""
    assert flags.selection().matches(ONE) is meant


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (Flags(origins=["a"], tenant="acme"), "not both"),
        (Flags(tenant=""), "--tenant is empty"),
        (Flags(reason=""), "--reason is empty"),
        (Flags(origins=[""]), "origin is empty"),
        (Flags(since="yesterday"), "--since: 'yesterday' is not a time"),
        (Flags(until="2026-03-01T12:00:00"), "--until: .* has no offset"),
    ],
    ids=str,
)
def test_flags_that_mean_nothing_are_refused(flags: Flags, said: str) -> None:
    """In words that name the flag."""
    with pytest.raises(ValueError, match=said):
        flags.selection()
    with pytest.raises(ValueError, match=said):
        flags.target()


def test_everything_must_be_said() -> None:
    """A command that changes something takes no empty filter for all, nor all and a filter."""
    with pytest.raises(ValueError, match="--all"):
        Flags().target()
    with pytest.raises(ValueError, match="--all"):
        Flags(all=True, tenant="acme").target()
    assert Flags(all=True).target() == Selection()
    assert Flags(tenant="acme").target() == Flags(tenant="acme").selection()
