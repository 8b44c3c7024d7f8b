"""The consumer's loop: what it does when things go well, badly, and when it is told to stop."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest

from consumer.errors import MustStop
from consumer.settings import Settings
from deploy.embedded.log.events import SqliteEventLog
from deploy.embedded.log.files import DEAD_LETTERS_DB
from deploy.embedded.log.lag import read_lag
from schemas.clickhouse import ClickHouseSettings
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


def settings_of(server: ClickHouse, **settings: Any) -> Settings:
    return Settings(clickhouse=ClickHouseSettings(url=server.url), **settings)


def letters(directory: Path) -> list[tuple[bytes, str]]:
    """Key and reason of every dead letter."""
    with closing(sqlite3.connect(directory / DEAD_LETTERS_DB)) as connection:
        return connection.execute("SELECT key, reason FROM dead_letters").fetchall()


async def test_events_are_stored_and_committed(
    log: SqliteEventLog, directory: Path, engine: ClickHouse
) -> None:
    """What is in the log is in the tables soon, however small the batches."""
    rows = [row(str(number), n=number) for number in range(100)]
    settings = settings_of(engine, max_batch_rows=7, max_batch_age_ms=20)
    await log.append([record("stored", one) for one in rows], timeout_s=5)
    async with consuming(directory, settings):
        await wait_until_stored(directory)
    assert read(engine.url, "stored") == sorted(rows)


async def test_a_stop_finishes_what_is_held(
    log: SqliteEventLog, directory: Path, engine: ClickHouse
) -> None:
    """Records that were fetched before the stop are stored and committed, not fetched again."""
    rows = [row(str(number)) for number in range(50)]
    settings = settings_of(engine, max_batch_age_ms=60_000)
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
    settings = settings_of(own_engine, max_batch_rows=10, max_batch_age_ms=20)
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
    settings = settings_of(own_engine, max_batch_age_ms=20, drain_timeout_s=0.5)
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


async def test_a_missing_table_loses_nothing(
    log: SqliteEventLog, directory: Path, own_engine: EmbeddedClickHouse
) -> None:
    """What no record is to blame for is waited out: nothing is committed, nothing put aside."""
    settings = settings_of(own_engine, max_batch_age_ms=20)
    client = clickhouse_connect.get_client(dsn=own_engine.url)
    client.command("RENAME TABLE events TO elsewhere")
    await log.append([record("refused", row("x"))], timeout_s=5)
    async with consuming(directory, settings):
        await asyncio.sleep(0.5)
        assert sum(lag.records for lag in read_lag(directory)) == 1
        client.command("RENAME TABLE elsewhere TO events")
        await wait_until_stored(directory)
    client.close()
    assert read(own_engine.url, "refused") == [row("x")]


async def test_a_row_that_clickhouse_refuses_stands_alone(
    log: SqliteEventLog, directory: Path, own_engine: EmbeddedClickHouse
) -> None:
    """It is put aside with ClickHouse's words, refused only while it is stored; the rest of its
    batch is stored, and of its ID the send before it stands.
    """
    settings = settings_of(own_engine, max_batch_age_ms=20)
    client = clickhouse_connect.get_client(dsn=own_engine.url)
    client.command("ALTER TABLE events ADD CONSTRAINT calm CHECK event_name != 'rage'")
    rows = [row(str(number)) for number in range(20)]
    rage = row("7", name="rage", n=9)
    await log.append([record("alone", one) for one in [*rows, rage]], timeout_s=5)
    async with consuming(directory, settings):
        await wait_until_stored(directory)
    client.close()
    assert read(own_engine.url, "alone") == sorted(rows)
    ((key, reason),) = letters(directory)
    assert key == b"alone\0007"
    assert "calm" in reason


async def test_a_topic_of_bad_records_stops_the_consumer(
    log: SqliteEventLog, directory: Path, engine: ClickHouse
) -> None:
    """When too many in a row can't be stored it stops, says which limit, and commits nothing."""
    settings = settings_of(engine, max_batch_age_ms=20, max_dead_letter_run=5)
    broken = [Record(b"stopped\0%d" % n, b"{", HEADERS) for n in range(40)]
    await log.append(broken, timeout_s=5)
    with pytest.raises(MustStop, match="MAX_DEAD_LETTER"):
        async with asyncio.timeout(20), consuming(directory, settings) as running:
            await running
    assert sum(lag.records for lag in read_lag(directory)) == 40
    assert letters(directory) == []


async def test_a_record_that_cannot_be_stored_is_kept_elsewhere(
    log: SqliteEventLog, directory: Path, engine: ClickHouse
) -> None:
    """It goes whole to the dead letters with the reason, and holds up nobody behind it."""
    settings = settings_of(engine, max_batch_age_ms=20)
    broken = Record(b"letters\0x", b'{"no": "event"', HEADERS)
    await log.append([broken, record("letters", row("y"))], timeout_s=5)
    async with consuming(directory, settings):
        await wait_until_stored(directory)
    assert read(engine.url, "letters") == [row("y")]
    ((key, reason),) = letters(directory)
    assert key == broken.key
    assert "can't be read" in reason
