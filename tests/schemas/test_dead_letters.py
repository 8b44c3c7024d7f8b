"""Dead letters as their topic holds them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead_letters import (
    MAX_REASON_CHARS,
    DeadLetter,
    attempts_before,
    decode_letter,
    encode_letter,
    returning,
)
from schemas.record import ATTEMPTS_HEADER, VERSION_HEADER, LogRecord

pytestmark = pytest.mark.unit

letters = st.builds(
    DeadLetter,
    st.from_regex(r"[a-zA-Z0-9._-]{1,30}", fullmatch=True),
    st.builds(
        LogRecord,
        st.integers(0, 100),
        st.integers(0, 2**63 - 1),
        st.integers(-1, 2**43),
        st.binary(max_size=40),
        st.binary(max_size=40),
        st.dictionaries(st.text(max_size=8), st.binary(max_size=8), max_size=3),
    ),
    st.integers(0, 2**63 - 1),
    st.text(max_size=40),
    st.integers(1, 99),
)


@given(letters)
def test_a_letter_comes_back_as_it_was(letter: DeadLetter) -> None:
    """Record, version, reason, attempts and origin survive, whatever the record holds."""
    assert decode_letter(*encode_letter(letter)) == letter


@given(letters)
def test_its_value_is_the_records_value(letter: DeadLetter) -> None:
    """Any tool shows what came; the key says where it came from."""
    key, value, _ = encode_letter(letter)
    assert value == letter.record.value
    assert key == f"{letter.topic}/{letter.record.partition}/{letter.record.offset}".encode()


def example(headers: dict[str, bytes] | None = None) -> DeadLetter:
    record = LogRecord(3, 17, 5, b"acme\0id 1", b"value", headers or {"tally-format": b"1"})
    return DeadLetter("tally.events", record, 99, "because", 2)


def test_a_letter_says_whose_it_is() -> None:
    """Origin, tenant and event ID come from place and key, and a key may be anything."""
    letter = example()
    assert (letter.origin, letter.tenant, letter.event_id) == ("tally.events/3/17", "acme", "id 1")
    odd = letter._replace(record=letter.record._replace(key=b"\xff"))
    assert (odd.tenant, odd.event_id) == ("\N{REPLACEMENT CHARACTER}", "")


def test_a_returning_record_brings_version_and_attempts() -> None:
    """It keeps its key, value and headers, and a second round replaces what the first one set."""
    record = returning(example())
    assert (record.key, record.value) == (b"acme\0id 1", b"value")
    assert record.headers == {
        "tally-format": b"1",
        VERSION_HEADER: b"99",
        ATTEMPTS_HEADER: b"2",
    }
    again = returning(example(dict(record.headers))._replace(attempts=3))
    assert again.headers[ATTEMPTS_HEADER] == b"3"
    assert attempts_before(example(dict(again.headers)).record) == 3


@pytest.mark.parametrize("text", [b"", b"-1", b"1.5", b"9" * 5000, "\u0663".encode(), b"\xff"])
def test_attempts_that_nobody_of_ours_wrote_are_none(text: bytes) -> None:
    """Whoever may append may write any header; it must not stop the consumer."""
    assert attempts_before(example({ATTEMPTS_HEADER: text}).record) == 0


def test_a_long_reason_is_cut_and_an_odd_one_mended() -> None:
    """ClickHouse may quote a whole row; a reason that can't be written would lose the letter."""
    for reason in ("x" * 10_000, "\udcff" * 10_000):
        kept = decode_letter(*encode_letter(example()._replace(reason=reason))).reason
        assert len(kept) == MAX_REASON_CHARS


@pytest.mark.parametrize(
    ("key", "dropped"),
    [
        (b"no origin", None),
        (b"topic/x/1", None),
        (b"\xff/1/1", None),
        (b"t/1/1", "tally-dead-version"),
        (b"t/1/1", "tally-dead-key"),
    ],
)
def test_what_is_no_letter_is_refused(key: bytes, dropped: str | None) -> None:
    """A record that somebody else wrote into the topic is named, not taken for a letter."""
    _, value, headers = encode_letter(example())
    kept = [(name, text) for name, text in headers if name != dropped]
    with pytest.raises(ValueError, match="is no dead letter"):
        decode_letter(key, value, kept)


def test_a_header_without_a_value_is_an_empty_one() -> None:
    """Kafka's headers may have none."""
    key, value, headers = encode_letter(example())
    letter = decode_letter(key, value, [*headers, ("odd", None)])
    assert letter.record.headers["odd"] == b""
