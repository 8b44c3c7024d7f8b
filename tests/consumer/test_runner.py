"""The consumer's loop: what it does when things go well, badly, and when it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import clickhouse_connect
import pytest

from consumer.settings import Settings
from deploy.embedded.log.events import SqliteEventLog
from deploy.embedded.log.files import DEAD_LETTERS_DB, open_reader
from deploy.embedded.log.lag import read_lag
from schemas.record import Record
from tests.consumer.conftest import consuming, wait_until_stored
from tests.consumer.events import HEADERS, read, record, row
from tests.support.clickhouse import ClickHouse, EmbeddedClickHouse


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteEventLog]:
    opened = SqliteEventLog(tmp_path / "log")
    yield opened
    await opened.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "log"


async def test_events_are_stored_and_committed(
    log: SqliteEventLog, directory: Path, engine: ClickHouse
) -> None:
    """What is in the log is in the tables soon, however small the batches."""
    rows = [row(str(number), n=number) for number in range(100)]
    settings = Settings(clickhouse_url=engine.url, max_batch_rows=7, max_batch_age_ms=20)
    await log.append([record("stored", one) for one in rows], timeout_s=5)
    async with consuming(directory, settings):
        await wait_until_stored(directory)
    assert read(engine.url, "stored") == sorted(rows)


async def test_a_stop_finishes_what_is_held(
    log: SqliteEventLog, directory: Path, engine: ClickHouse
) -> None:
    """Records that were fetched before the stop are stored and committed, not fetched again."""
    rows = [row(str(number)) for number in range(50)]
    settings = Settings(clickhouse_url=engine.url, max_batch_age_ms=60_000)
    await log.append([record("stopped", one) for one in rows], timeout_s=5)
    async with consuming(directory, settings):
        await asyncio.sleep(0.5)
        assert read(engine.url, "stopped") == []
    assert read(engine.url, "stopped") == sorted(rows)
    assert all(lag.records == 0 for lag in read_lag(directory))


async def test_clickhouse_down_is_waited_out(
    log: SqliteEventLog, directory: Path, own_engine: EmbeddedClickHouse
) -> None:
    """While ClickHouse is away nothing is committed, nothing lost; then it goes on by itself."""
    settings = Settings(clickhouse_url=own_engine.url, max_batch_rows=10, max_batch_age_ms=20)
    rows = [row(str(number)) for number in range(200)]
    async with consuming(directory, settings):
        await log.append([record("down", one) for one in rows[:50]], timeout_s=5)
        await wait_until_stored(directory)
        own_engine.kill()
        await log.append([record("down", one) for one in rows[50:]], timeout_s=5)
        await asyncio.sleep(1)
        assert sum(lag.records for lag in read_lag(directory)) == 150
        own_engine.start()
        await wait_until_stored(directory)
    assert read(own_engine.url, "down") == sorted(rows)


async def test_a_stop_with_clickhouse_down_keeps_the_place(
    log: SqliteEventLog, directory: Path, own_engine: EmbeddedClickHouse
) -> None:
    """The drain ends in time, nothing is committed, and the next run stores it."""
    settings = Settings(clickhouse_url=own_engine.url, max_batch_age_ms=20, drain_timeout_s=0.5)
    rows = [row(str(number)) for number in range(50)]
    own_engine.kill()
    await log.append([record("kept", one) for one in rows], timeout_s=5)
    async with asyncio.timeout(10), consuming(directory, settings):
        await asyncio.sleep(0.3)
    assert sum(lag.records for lag in read_lag(directory)) == 50
    own_engine.start()
    async with consuming(directory, settings):
        await wait_until_stored(directory)
    assert read(own_engine.url, "kept") == sorted(rows)


@pytest.mark.parametrize(
    ("breaking", "mending"),
    [
        ("RENAME TABLE events TO elsewhere", "RENAME TABLE elsewhere TO events"),
        # Read well, and refused only while it is stored.
        (
            "ALTER TABLE events ADD CONSTRAINT calm CHECK event_name != 'n'",
            "ALTER TABLE events DROP CONSTRAINT calm",
        ),
    ],
)
async def test_a_store_that_refuses_loses_nothing(
    log: SqliteEventLog,
    directory: Path,
    own_engine: EmbeddedClickHouse,
    breaking: str,
    mending: str,
) -> None:
    """A refused insert is not taken for done: nothing is committed until it is stored."""
    settings = Settings(clickhouse_url=own_engine.url, max_batch_age_ms=20)
    client = clickhouse_connect.get_client(dsn=own_engine.url)
    client.command(breaking)
    await log.append([record("refused", row("x"))], timeout_s=5)
    async with consuming(directory, settings):
        await asyncio.sleep(0.5)
        assert sum(lag.records for lag in read_lag(directory)) == 1
        client.command(mending)
        await wait_until_stored(directory)
    client.close()
    assert read(own_engine.url, "refused") == [row("x")]


async def test_a_record_that_cannot_be_stored_is_kept_elsewhere(
    log: SqliteEventLog, directory: Path, engine: ClickHouse
) -> None:
    """It goes whole to the dead letters with the reason, and holds up nobody behind it."""
    settings = Settings(clickhouse_url=engine.url, max_batch_age_ms=20)
    broken = Record(b"letters\0x", b'{"no": "event"', HEADERS)
    await log.append([broken, record("letters", row("y"))], timeout_s=5)
    async with consuming(directory, settings):
        await wait_until_stored(directory)
    assert read(engine.url, "letters") == [row("y")]
    reader = open_reader(directory, DEAD_LETTERS_DB)
    ((key, value, reason),) = reader.execute("SELECT key, value, reason FROM dead_letters")
    reader.close()
    assert (key, value) == (broken.key, broken.value)
    assert "can't be read" in reason
