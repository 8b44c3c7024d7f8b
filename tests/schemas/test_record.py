"""The record's form and the version that orders sends."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import Event
from schemas.record import append_ms_of, decode_head, decode_unknown, encode, next_version

pytestmark = pytest.mark.unit

EVENT = Event(
    tenant="t",
    event_id="id\N{ROCKET}",
    event_name="n",
    external_customer_id="c",
    customer_id="",
    source="",
    timestamp="2024-03-20T15:04:05.123456Z",
    properties=msgspec.Raw(b'{"big": 12345678901234567890123, "a" : null}'),
)


def test_a_record_keeps_the_properties_bytes() -> None:
    """The bytes that were sent as properties stand in the value, spaces and digits included."""
    assert bytes(EVENT.properties) in encode(EVENT, {}).value


def test_a_records_key_is_tenant_nul_and_id() -> None:
    """All sends of one ID share a key, so a partition orders them."""
    assert encode(EVENT, {}).key == "t\0id\N{ROCKET}".encode()


def test_the_head_of_a_value_is_what_resolving_needs() -> None:
    """The consumer reads customer and time without touching the rest."""
    head = decode_head(encode(EVENT, {}).value)
    assert (head.external_customer_id, head.timestamp) == ("c", EVENT.timestamp)


def test_an_unknown_producers_value_is_read_strictly() -> None:
    """A value without our header may hold known fields only."""
    value = encode(EVENT, {}).value
    assert decode_unknown(value).event_id == EVENT.event_id
    with pytest.raises(msgspec.ValidationError, match="is_deleted"):
        decode_unknown(value[:-1] + b',"is_deleted":1}')


clocks = st.lists(st.integers(min_value=0, max_value=2**42), min_size=1)


@given(clocks)
def test_versions_grow_whatever_the_clock_does(append_times: list[int]) -> None:
    """A partition's versions grow strictly, also when the log's clock stands or steps back."""
    versions = [0]
    for append_ms in append_times:
        versions.append(next_version(versions[-1], append_ms))
    assert versions == sorted(set(versions))


@given(st.integers(min_value=1, max_value=2**42), st.integers(min_value=0, max_value=2**19))
def test_a_version_tells_its_append_time(append_ms: int, records_before: int) -> None:
    """As long as fewer than a million records share a millisecond, the version holds it."""
    version = next_version(0, append_ms)
    for _ in range(min(records_before, 5)):
        version = next_version(version, append_ms)
    assert append_ms_of(version) == append_ms


def test_a_version_fits_a_uint64_for_centuries() -> None:
    """The table's column holds versions up to the year 2500."""
    assert next_version(0, 16_725_225_600_000) < 2**64
