"""From a record of the log to what resolving works on."""

from __future__ import annotations

import json

import pytest

from consumer.errors import BadRecord
from consumer.intake import take_in
from schemas.event import identity_hash
from schemas.record import FORMAT, FORMAT_HEADER, LogRecord

pytestmark = pytest.mark.unit

VALUE = {
    "tenant": "t",
    "event_id": "x",
    "event_name": "n",
    "external_customer_id": "c",
    "customer_id": "",
    "source": "",
    "timestamp": "2024-03-20T15:04:05.123456Z",
    "properties": {"a": 1},
}


def record(value: bytes, headers: dict[str, bytes], key: bytes = b"t\0x") -> LogRecord:
    return LogRecord(0, 0, 0, key, value, headers)


def test_a_record_of_ours_is_taken_in_by_its_bytes() -> None:
    """The value stays the bytes it is; identity comes from the key, hour and customer from it."""
    value = json.dumps(VALUE).encode()
    sent = take_in(record(value, {FORMAT_HEADER: FORMAT}), 7)
    assert sent.value is value
    assert sent.identity == identity_hash(b"t\0x")
    assert (sent.key.hour, sent.key.customer, sent.version) == (1710946800, "c", 7)


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"timestamp":"x"}', b"\xff"])
def test_a_broken_value_is_a_bad_record(value: bytes) -> None:
    """A value that can't be read goes to the dead letters, whoever wrote it."""
    with pytest.raises(BadRecord):
        take_in(record(value, {FORMAT_HEADER: FORMAT}), 1)
    with pytest.raises(BadRecord):
        take_in(record(value, {}), 1)


def test_an_unknown_format_is_a_bad_record() -> None:
    """A record of a later release waits in the dead letters instead of being misread."""
    with pytest.raises(BadRecord, match="newer"):
        take_in(record(b"{}", {FORMAT_HEADER: b"2"}), 1)


def test_a_good_value_of_another_producer_is_taken_in() -> None:
    """Without our header the value is read in full and written in our own form."""
    assert json.loads(take_in(record(json.dumps(VALUE).encode(), {}), 1).value) == VALUE


def test_another_producers_time_is_brought_to_utc() -> None:
    """The hour is read off the text, so any offset is turned into UTC first."""
    value = json.dumps({**VALUE, "timestamp": "2024-03-20T20:34:05.5+05:30"}).encode()
    sent = take_in(record(value, {}), 1)
    assert sent.key.hour == 1710946800
    assert json.loads(sent.value)["timestamp"] == "2024-03-20T15:04:05.500000Z"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"is_deleted": 1}, "is_deleted"),
        ({"version": 9}, "version"),
        ({"properties": []}, "object"),
        ({"timestamp": "soon"}, "soon"),
        ({"event_id": "y"}, "key"),
        ({"tenant": "other"}, "key"),
        ({"event_name": 5}, "event_name"),
        ({"event_name": ""}, "event_name"),
        ({"external_customer_id": "c" * 300}, "external_customer_id"),
        ({"timestamp": "2024-03-20T15:04:05"}, "offset"),
    ],
)
def test_another_producer_gets_no_further_than_ours(change: dict[str, object], why: str) -> None:
    """Unknown fields, bad values and a key that does not fit are refused with the reason."""
    with pytest.raises(BadRecord, match=why):
        take_in(record(json.dumps({**VALUE, **change}).encode(), {}), 1)


@pytest.mark.parametrize("raw", ["NaN", "Infinity", "1e999", '"\\ud800"'])
def test_what_clickhouse_would_store_without_a_word_is_refused(raw: str) -> None:
    """ClickHouse stores {"a":NaN}, and a page with it is unreadable."""
    value = json.dumps(VALUE).replace('"a": 1', f'"a": {raw}').encode()
    with pytest.raises(BadRecord):
        take_in(record(value, {}), 1)
