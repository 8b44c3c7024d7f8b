"""When a batch closes."""

from __future__ import annotations

import pytest

from consumer.batch import Batch
from consumer.settings import Settings
from schemas.clickhouse import ClickHouseSettings
from schemas.record import LogRecord

pytestmark = pytest.mark.unit

SETTINGS = Settings(
    clickhouse=ClickHouseSettings(url=""),
    max_batch_rows=3,
    max_batch_bytes=100,
    max_batch_age_ms=500,
)


def record(size_bytes: int = 1) -> LogRecord:
    return LogRecord(0, 0, 0, b"k", b"x" * size_bytes, {})


def test_a_batch_is_full_by_rows() -> None:
    """The row that reaches the limit closes it."""
    batch = Batch()
    batch.add([record(), record()], now=0.0)
    assert not batch.is_full(SETTINGS)
    assert batch.rows_left(SETTINGS) == 1
    batch.add([record()], now=0.1)
    assert batch.is_full(SETTINGS)


def test_a_batch_is_full_by_bytes() -> None:
    """The byte that reaches the limit closes it."""
    batch = Batch()
    batch.add([record(99)], now=0.0)
    assert batch.bytes_left(SETTINGS) == 1
    assert not batch.is_full(SETTINGS)
    batch.add([record(1)], now=0.0)
    assert batch.is_full(SETTINGS)


def test_a_batch_ages_from_its_first_record() -> None:
    """Records that come later do not keep it open; an empty batch does not age."""
    batch = Batch()
    assert batch.seconds_left(SETTINGS, now=1000.0) == 0.5
    batch.add([record()], now=1000.0)
    batch.add([record()], now=1000.4)
    assert batch.seconds_left(SETTINGS, now=1000.4) == pytest.approx(0.1)
    assert batch.seconds_left(SETTINGS, now=1000.6) < 0
