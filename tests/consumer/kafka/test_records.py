"""From Kafka's records to ours."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from consumer.kafka.records import Fetched, Reader
from schemas.record import NO_APPEND_TIME, LogRecord

pytestmark = pytest.mark.unit


def fetched(**fields: Any) -> Any:
    """A record as aiokafka gives it."""
    given = {"partition": 2, "offset": 9, "timestamp": 1234, "timestamp_type": 1}
    return SimpleNamespace(**(given | {"key": b"k", "value": b"v", "headers": ()} | fields))


def test_a_record_keeps_everything() -> None:
    """Partition, offset, the log's time, key, value and headers."""
    (record,) = Reader().read([fetched(headers=(("a", b"1"), ("b", b"2")))])
    assert record == LogRecord(2, 9, 1234, b"k", b"v", {"a": b"1", "b": b"2"})


def test_a_producers_time_is_no_append_time() -> None:
    """With CreateTime the timestamp is worth nothing: the record is not stored under it."""
    (record,) = Reader().read([fetched(timestamp_type=0)])
    assert record.append_ms == NO_APPEND_TIME


def test_a_record_without_key_or_value_is_a_record() -> None:
    """It goes the way of all bad records instead of stopping the consumer."""
    (record,) = Reader().read([fetched(key=None, value=None, headers=(("a", None),))])
    assert (record.key, record.value, record.headers) == (b"", b"", {"a": b""})


def test_many_different_headers_take_no_memory_for_ever() -> None:
    """Request IDs differ in every record; what is kept of them is bounded."""
    reader = Reader()
    for number in range(5000):
        reader.read([fetched(headers=(("x-request-id", b"%d" % number),))])
    assert len(reader._headers) <= 1000


def test_the_next_offset_is_expected() -> None:
    """Each partition has its own; the first one is taken as it is."""
    reader = Reader()
    assert reader.expect(0, 10) == 10
    assert reader.expect(0, 15) == 10
    assert reader.expect(1, 7) == 7
    assert reader.expect(0, 20) == 15


def test_a_bite_of_large_records_is_small() -> None:
    """Kafka's client knows no limit in bytes, so after large records fewer are asked for."""
    held = Fetched()
    assert held.bite(20_000) == 1000
    assert held.bite(10) == 10
    held.add([LogRecord(0, 0, 1, b"k", b"x" * 60_000, {})])
    assert held.bite(20_000) == 34
    held.add([LogRecord(0, 1, 1, b"k", b"x" * 9_000_000, {})])
    assert held.bite(20_000) == 1
    held.add([LogRecord(0, 2, 1, b"k", b"x" * 100, {})])
    assert held.bite(20_000) == 1000
