"""What a key is given on the command line: how long, what for, how much. Pure; every error names
the option at fault.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from schemas.key_uses import seconds_of, text_of
from schemas.keys import SCOPES, KeyRecord, expiry_s

GOOD: Final = "good"
EXPIRES: Final = "expires"
EXPIRED: Final = "expired"
REVOKED: Final = "revoked"

_SPAN = re.compile(r"([0-9]+)([smhdw])")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_MAX_S: Final = 100 * 365 * 86_400


class Terms(NamedTuple):
    """What a new key is made with: fields of `KeyRecord`."""

    scopes: Sequence[str] = SCOPES
    expires_at: str | None = None
    events_per_s: float | None = None
    bytes_per_s: float | None = None


def read_terms(
    *,
    scopes: Sequence[str],
    expires_in: str | None,
    expires_at: str | None,
    events_per_s: float | None,
    bytes_per_s: float | None,
    now_s: float,
) -> Terms:
    """Check what the options say; ``now_s`` is a Unix time. Raises ValueError."""
    for scope in scopes:
        if scope not in SCOPES:
            raise ValueError(f"--scope {scope!r}: there are {' and '.join(SCOPES)}")
    return Terms(
        scopes or SCOPES,
        read_expiry(expires_in, expires_at, now_s),
        _rate("--events-per-s", events_per_s),
        _rate("--bytes-per-s", bytes_per_s),
    )


def read_expiry(expires_in: str | None, expires_at: str | None, now_s: float) -> str | None:
    """Give the time of expiry as a record holds it, or None for never. Raises ValueError."""
    if expires_in is not None and expires_at is not None:
        raise ValueError("--expires-in and --expires-at: give one of them")
    if expires_in is not None:
        span_s = read_span("--expires-in", expires_in)
        if span_s == 0:
            raise ValueError("--expires-in: the key would have expired at once")
        return text_of(now_s + span_s)
    if expires_at is None:
        return None
    try:
        moment_s = seconds_of(expires_at)
    except (ValueError, OverflowError):
        raise ValueError(
            f"--expires-at {expires_at!r}: is no time like 2027-01-31T00:00:00Z"
        ) from None
    if moment_s <= now_s:
        raise ValueError(f"--expires-at {expires_at!r}: is in the past")
    return text_of(moment_s)


def read_span(option: str, text: str) -> int:
    """Give the seconds of a text like 90d, 24h or 30m. Raises ValueError."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"{option} {text!r}: is no span like 90d (whole numbers of s, m, h, d or w)"
        )
    span_s = int(found[1]) * _UNIT_S[found[2]]
    if span_s > _MAX_S:
        raise ValueError(f"{option} {text!r}: is over a hundred years; leave it out for ever")
    return span_s


def renewed(key: KeyRecord, now_s: float) -> Terms:
    """Give the terms of the key that follows another: the same; if that one was made to expire,
    the new one lives as long as it was given, whatever a rotation has left of it.
    """
    given_s = term_s(key)
    expires_at = text_of(now_s + given_s) if given_s else None
    return Terms(key.scopes, expires_at, key.events_per_s, key.bytes_per_s)


def term_s(key: KeyRecord) -> float:
    """Give for how many seconds a key was made; 0 is for ever."""
    if key.term_s is not None:
        return key.term_s
    if key.expires_at is None:
        return 0.0
    return max(1.0, expiry_s(key) - seconds_of(key.created_at))


def retired(key: KeyRecord, overlap_s: float, now_s: float) -> str:
    """Give when a key that was rotated expires: after the overlap, but no later than it would."""
    return text_of(min(now_s + overlap_s, expiry_s(key)))


def state_of(key: KeyRecord, now_s: float) -> str:
    """Give one of the four states of a key."""
    if key.revoked_at is not None:
        return REVOKED
    if key.expires_at is None:
        return GOOD
    return EXPIRED if expiry_s(key) <= now_s else EXPIRES


def _rate(option: str, rate: float | None) -> float | None:
    if rate is not None and not 0 <= rate < math.inf:
        raise ValueError(f"{option} {rate:g}: must be a number of at least 0, which is no limit")
    return rate
