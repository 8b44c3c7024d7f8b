"""What a key is given on the command line."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from deploy.key_terms import (
    EXPIRED,
    EXPIRES,
    GOOD,
    REVOKED,
    read_span,
    read_terms,
    renewed,
    retired,
    state_of,
)
from schemas.key_uses import seconds_of, text_of
from schemas.keys import INGEST, READ, KeyRecord, make_key

pytestmark = pytest.mark.unit

NOW = seconds_of("2026-06-01T00:00:00Z")
DAY = 86_400


def terms(**options: Any) -> Any:
    none = dict.fromkeys(("expires_in", "expires_at", "events_per_s", "bytes_per_s"))
    return read_terms(**{"scopes": (), **none, **options}, now_s=NOW)


def key(**fields: Any) -> KeyRecord:
    return msgspec.structs.replace(make_key("acme", "name").record, **fields)


def test_without_options_a_key_may_all_and_for_ever() -> None:
    """Both scopes, no expiry, no limits of its own."""
    assert terms()._asdict() == {
        "scopes": (INGEST, READ),
        "expires_at": None,
        "events_per_s": None,
        "bytes_per_s": None,
    }


def test_options_become_the_fields_of_the_record() -> None:
    """A span counts from now, a time is written in UTC."""
    assert terms(expires_in="90d").expires_at == "2026-08-30T00:00:00Z"
    assert terms(expires_at="2027-01-31T00:00:00+01:00").expires_at == "2027-01-30T23:00:00Z"
    given = terms(scopes=["read"], events_per_s=0.0, bytes_per_s=5.5)
    assert (given.scopes, given.events_per_s, given.bytes_per_s) == (["read"], 0.0, 5.5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scopes": ["ingest", "write"]}, r"--scope 'write'.*ingest and read"),
        ({"expires_in": "90"}, r"--expires-in '90'"),
        ({"expires_in": "-1d"}, r"--expires-in '-1d'"),
        ({"expires_in": "0d"}, r"--expires-in"),
        ({"expires_in": "99999999999d"}, r"--expires-in '99999999999d'.*hundred years"),
        ({"expires_at": "tomorrow"}, r"--expires-at 'tomorrow'.*2027"),
        ({"expires_at": "2026-05-31T23:59:59Z"}, r"--expires-at .*past"),
        ({"expires_in": "1d", "expires_at": "2027-01-31"}, r"--expires-in and --expires-at"),
        ({"events_per_s": -1.0}, r"--events-per-s -1"),
        ({"events_per_s": float("nan")}, r"--events-per-s nan"),
        ({"bytes_per_s": float("inf")}, r"--bytes-per-s inf"),
    ],
    ids=str,
)
def test_an_option_that_can_not_be_is_named(options: dict[str, Any], said: str) -> None:
    """The error says which option, and what would do."""
    with pytest.raises(ValueError, match=said):
        terms(**options)


@pytest.mark.parametrize(
    ("text", "span_s"), [("0s", 0), ("30m", 1800), ("24h", DAY), ("2w", 14 * DAY), (" 1d ", DAY)]
)
def test_spans(text: str, span_s: int) -> None:
    """A whole number and a unit."""
    assert read_span("--overlap", text) == span_s


def test_a_renewed_key_is_like_the_old_one() -> None:
    """The same scopes and limits; one that was given 90 days is given 90 days again."""
    old = key(
        scopes=(INGEST,),
        events_per_s=7.0,
        created_at=text_of(NOW - 80 * DAY),
        expires_at=text_of(NOW + 10 * DAY),
    )
    new = renewed(old, NOW)
    assert (new.scopes, new.events_per_s, new.bytes_per_s) == ((INGEST,), 7.0, None)
    assert new.expires_at == text_of(NOW + 90 * DAY)
    assert renewed(key(), NOW).expires_at is None


def test_a_retired_key_never_lives_longer_for_it() -> None:
    """It expires after the overlap, or when it would have."""
    assert retired(key(), DAY, NOW) == text_of(NOW + DAY)
    assert retired(key(expires_at=text_of(NOW + 60)), DAY, NOW) == text_of(NOW + 60)
    assert retired(key(), 0, NOW) == text_of(NOW)


def test_states() -> None:
    """Revoked stands before everything else."""
    past, future = text_of(NOW), text_of(NOW + 1)
    assert state_of(key(), NOW) == GOOD
    assert state_of(key(expires_at=future), NOW) == EXPIRES
    assert state_of(key(expires_at=past), NOW) == EXPIRED
    assert state_of(key(expires_at=past, revoked_at=past), NOW) == REVOKED
