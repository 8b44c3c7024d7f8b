"""When keys were last used: the record, and what is worth telling."""

from __future__ import annotations

import pytest

from schemas.key_uses import KeyUses, decode_use, encode_use, is_use, seconds_of, text_of
from schemas.keys import decode_key, encode_key, make_key

pytestmark = pytest.mark.unit


def test_a_use_comes_back_to_the_second() -> None:
    """Under a record key of its own, so that compaction keeps it beside the key's record."""
    key, value = encode_use("key_1", 1_700_000_000.9)
    assert key == b"used/key_1"
    assert is_use(key)
    assert decode_use(value) == ("key_1", 1_700_000_000.0)


def test_a_use_is_no_key_and_a_key_no_use() -> None:
    """Neither reader takes one for the other."""
    record = make_key("acme", "").record
    with pytest.raises(ValueError, match="tenant"):
        decode_key(encode_use("key_1", 0.0)[1])
    assert not is_use(record.key_id.encode())
    assert not is_use(None)
    with pytest.raises(ValueError, match="used_at"):
        decode_use(encode_key(record))


@pytest.mark.parametrize(
    "value",
    [
        b"{",
        b'{"key_id":"k","used_at":"soon"}',
        b'{"key_id":"k","used_at":"0001-01-01T00:00:00+05:00"}',
        b'{"key_id":"k","used_at":"9999-12-31T23:59:59-05:00"}',
        b"\xff",
        b"null",
    ],
)
def test_what_is_no_use_is_a_value_error(value: bytes) -> None:
    """Whatever stands in the topic."""
    with pytest.raises(ValueError):  # noqa: PT011 (its text is the decoder's)
        decode_use(value)


def test_times_are_utc_with_or_without_saying_so() -> None:
    """A record's text means the same on every machine."""
    assert text_of(0) == "1970-01-01T00:00:00Z"
    assert seconds_of("1970-01-01T01:00:00+01:00") == seconds_of("1970-01-01T00:00:00") == 0.0


def test_a_first_use_is_told_and_then_one_an_interval() -> None:
    """What the topic knows, from whichever process, is not told again before the interval is up."""
    uses = KeyUses()
    assert uses.untold(60) == {}
    uses.here["a"] = 1000.0
    assert uses.untold(60) == {"a": 1000.0}
    uses.heard("a", 1000.0)
    uses.here["a"] = 1059.9
    assert uses.untold(60) == {}
    uses.here["a"] = 1060.0
    assert uses.untold(60) == {"a": 1060.0}
    uses.heard("a", 1055.0)  # another process was first
    assert uses.untold(60) == {}


def test_the_latest_use_counts_in_whichever_order_they_come() -> None:
    """Two processes write about one key, and their clocks may differ."""
    uses = KeyUses()
    uses.heard("a", 2000.0)
    uses.heard("a", 1000.0)
    uses.here["a"] = 2030.0
    assert uses.untold(60) == {}
