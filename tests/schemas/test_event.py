"""The event's limits, identity and time."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import (
    MAX_PROPERTIES_BYTES,
    MAX_PROPERTIES_DEPTH,
    check_age,
    check_properties,
    format_timestamp,
    identity_hash,
    identity_key,
    new_event_id,
    parse_timestamp,
)

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("tenant", "event_id", "expected"),
    [
        ("t", "id", (0x75AAA8212B2C9640, 0xCE791574B4A21D8B)),
        ("default", "2013-01-01/UA1545/EWR", (0x0DCD93C9DA5AA4A1, 0x926D80C42F580822)),
        ("acme", "événement \N{ROCKET}", (0x22EA3995AE007980, 0x07D306D3E2A42E6B)),
    ],
)
def test_identity_hash_is_a_disk_format(
    tenant: str, event_id: str, expected: tuple[int, int]
) -> None:
    """The hash of an ID never changes: entries written by any release stay findable."""
    assert identity_hash(identity_key(tenant, event_id)) == expected


def test_identity_key_keeps_tenants_apart() -> None:
    """A NUL stands between tenant and ID, so moving characters across gives another key."""
    assert identity_key("ab", "c") != identity_key("a", "bc")


def test_new_event_ids_are_ordered_uuids_of_version_7() -> None:
    """IDs that we make are UUIDv7, and later ones do not sort before the millisecond of earlier."""
    made = [uuid.UUID(new_event_id()) for _ in range(100)]
    assert {made_id.version for made_id in made} == {7}
    milliseconds = [made_id.int >> 80 for made_id in made]
    assert milliseconds == sorted(milliseconds)
    assert len(set(made)) == len(made)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-20T15:04:05Z", "2024-03-20T15:04:05.000000Z"),
        ("2024-03-20t15:04:05z", "2024-03-20T15:04:05.000000Z"),
        ("2024-03-20T15:04Z", "2024-03-20T15:04:00.000000Z"),
        ("2024-03-20T15:04:05,5-0800", "2024-03-20T23:04:05.500000Z"),
        ("2024-03-20 15:04:05+05:30", "2024-03-20T09:34:05.000000Z"),
        ("2024-03-20T15:04:05.1234569Z", "2024-03-20T15:04:05.123456Z"),
        ("2024-03-20T15:04:05.9999999Z", "2024-03-20T15:04:05.999999Z"),
        ("2024-03-20T23:30:00-02:00", "2024-03-21T01:30:00.000000Z"),
    ],
)
def test_times_become_utc_with_microseconds(text: str, expected: str) -> None:
    """A time with an offset becomes UTC, and digits beyond microseconds are cut, not rounded."""
    assert format_timestamp(parse_timestamp(text)) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2024-03-20T15:04:05", "no offset"),
        ("2024-03-20", "no offset"),
        ("yesterday", "ISO 8601"),
        ("", "ISO 8601"),
        ("2024-02-30T00:00:00Z", "ISO 8601"),
        ("2024-03-20T15:04:05Z\0junk", "ISO 8601"),
        ("2024-03-20x15:04:05Z", "ISO 8601"),
        ("2024-03-20T15:04:05.Z", "ISO 8601"),
        ("2024-W12-3T10:00Z", "ISO 8601"),
        ("\u0662024-03-20T15:04:05Z", "ISO 8601"),
        ("0001-01-01T00:00:00+14:00", "out of range"),
    ],
)
def test_other_times_are_refused_with_a_reason(text: str, why: str) -> None:
    """A time without offset, or none at all, is refused in words a sender understands."""
    with pytest.raises(ValueError, match=why):
        parse_timestamp(text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_formatted_time_reads_back(moment: datetime) -> None:
    """What `format_timestamp` writes is the same instant again."""
    assert parse_timestamp(format_timestamp(moment)) == moment


@pytest.mark.parametrize(
    ("moment", "is_good"),
    [
        (NOW, True),
        (NOW - timedelta(days=10), True),
        (NOW - timedelta(days=10, microseconds=1), False),
        (NOW + timedelta(days=1), True),
        (NOW + timedelta(days=1, microseconds=1), False),
    ],
)
def test_age_is_bounded_on_both_sides(moment: datetime, is_good: bool) -> None:
    """A time is good up to and including the bound, and not a microsecond past it."""
    past, future = timedelta(days=10), timedelta(days=1)
    if is_good:
        check_age(moment, NOW, past=past, future=future)
    else:
        with pytest.raises(ValueError, match=r"days back|ahead"):
            check_age(moment, NOW, past=past, future=future)


def nested(levels: int) -> bytes:
    """An object nested ``levels`` deep, itself counted."""
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b'{"a":1e308}',
        b'{"a":123456789012345678901234567890}',
        b'{"a":1' + b"0" * 250 + b"e9}",
        b'{"a":"' + b"9" * 400 + b'"}',
        b'{"a":0.000000000000000000000000000000000000000000000001}',
        rb'{"a":"\u00e9\ud83d\ude00"}',
        b'{"a":"{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{[[["}',
        b'{"a":[' + b",".join([b"{}"] * 100) + b"]}",
        nested(MAX_PROPERTIES_DEPTH),
        b'{"a":"' + b"x" * (MAX_PROPERTIES_BYTES - 8) + b'"}',
        rb'{"{\"request_size\"":"100"}',
    ],
)
def test_good_properties_pass(raw: bytes) -> None:
    """Anything JSON can say within the limits passes."""
    json.loads(raw)
    check_properties(raw)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"[]", "object"),
        (b'"x"', "object"),
        (b"12", "object"),
        (nested(MAX_PROPERTIES_DEPTH + 1), "32 levels"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "32 levels"),
        (b'{"a":"' + b"x" * (MAX_PROPERTIES_BYTES - 7) + b'"}', "65536"),
        (b'{"a":1e999}', "infinity"),
        (b'{"a":-1E+400}', "infinity"),
        (b'{"a":' + b"9" * 400 + b"}", "infinity"),
        (b'{"a":1' + b"0" * 250 + b"e99}", "infinity"),
        (b'{"a":-1' + b"0" * 295 + b".5E50}", "infinity"),
        (rb'{"a":"\ud800"}', "surrogate"),
        (rb'{"\udc00":1}', "surrogate"),
    ],
)
def test_bad_properties_are_refused_with_a_reason(raw: bytes, why: str) -> None:
    """What would come back changed, or not at all, is refused."""
    with pytest.raises(ValueError, match=why):
        check_properties(raw)
