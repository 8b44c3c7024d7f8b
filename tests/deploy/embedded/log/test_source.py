"""Reading the embedded log and committing how far one is."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumer.errors import Unavailable
from consumer.offsets import Position
from deploy.embedded.log.events import SqliteEventLog
from deploy.embedded.log.files import LOG_DB, AlreadyOpen
from deploy.embedded.log.lag import read_lag
from deploy.embedded.log.layout import partition_of
from deploy.embedded.log.source import SqliteSource
from tests.deploy.embedded.log.records import record

KEY = "t\0x"
PARTITION = partition_of(KEY.encode())


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteEventLog]:
    opened = SqliteEventLog(tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
async def source(log: SqliteEventLog, tmp_path: Path) -> AsyncIterator[SqliteSource]:
    opened = SqliteSource(tmp_path)
    await opened.open()
    await opened.next_assignment()
    yield opened
    await opened.close()


async def test_records_come_once_and_in_order(log: SqliteEventLog, source: SqliteSource) -> None:
    """Fetching goes on where it was, in small bites as in large ones."""
    await log.append([record(n, key=KEY) for n in range(25)], timeout_s=5)
    values: list[int] = []
    while records := await source.fetch(max_records=8, max_bytes=1 << 20, timeout_s=0.05):
        values += [int(one.value) for one in records]
    assert values == list(range(25))


async def test_a_fetch_is_bounded_in_bytes(log: SqliteEventLog, source: SqliteSource) -> None:
    """Large records come a few at a time, and one over the limit comes alone."""
    await log.append([record(n, key=KEY, size_bytes=1000) for n in range(6)], timeout_s=5)
    some = await source.fetch(max_records=100, max_bytes=4 * 2500, timeout_s=1)
    assert [int(one.value) for one in some] == [0, 1, 2]
    some = await source.fetch(max_records=100, max_bytes=1, timeout_s=1)
    assert [int(one.value) for one in some] == [3]


async def test_fetch_wakes_for_a_new_record(log: SqliteEventLog, source: SqliteSource) -> None:
    """A fetch that waits sees an append of another connection long before its time is up."""
    fetching = asyncio.create_task(source.fetch(max_records=10, max_bytes=1 << 20, timeout_s=30))
    await asyncio.sleep(0.1)
    await log.append([record(1)], timeout_s=5)
    async with asyncio.timeout(10):
        assert len(await fetching) == 1


async def test_fetch_gives_up_when_nothing_comes(source: SqliteSource) -> None:
    """An empty answer is no error."""
    assert await source.fetch(max_records=10, max_bytes=1 << 20, timeout_s=0.05) == []


async def test_reading_before_the_gateway_ever_ran(tmp_path: Path) -> None:
    """A consumer may start first: there is nothing to read until the log is made."""
    source = SqliteSource(tmp_path)
    await source.open()
    await source.next_assignment()
    assert await source.fetch(max_records=10, max_bytes=1 << 20, timeout_s=0.05) == []
    log = SqliteEventLog(tmp_path)
    await log.append([record(1)], timeout_s=5)
    assert len(await source.fetch(max_records=10, max_bytes=1 << 20, timeout_s=5)) == 1
    await source.close()
    await log.close()


async def test_a_commit_is_where_the_next_consumer_begins(
    log: SqliteEventLog, source: SqliteSource, tmp_path: Path
) -> None:
    """Offset and version come back from a commit; what came after it is read again."""
    await log.append([record(n, key=KEY) for n in range(5)], timeout_s=5)
    await source.fetch(max_records=100, max_bytes=1 << 20, timeout_s=1)
    await source.commit({PARTITION: Position(3, 77)})
    await source.close()
    again = SqliteSource(tmp_path)
    await again.open()
    assert (await again.next_assignment()).positions == {PARTITION: Position(3, 77)}
    records = await again.fetch(max_records=100, max_bytes=1 << 20, timeout_s=1)
    assert [int(one.value) for one in records] == [3, 4]
    await again.close()


async def test_a_second_consumer_is_refused(source: SqliteSource, tmp_path: Path) -> None:
    """One consumer reads a directory; a second one hears who holds it."""
    with pytest.raises(AlreadyOpen, match=r"groups\.db\.lock"):
        await SqliteSource(tmp_path).open()


async def test_a_broken_log_is_unavailable(tmp_path: Path) -> None:
    """A file that SQLite can't read is an error to retry, with SQLite's words."""
    (tmp_path / LOG_DB).write_bytes(b"this is no database" * 100)
    source = SqliteSource(tmp_path)
    await source.open()
    with pytest.raises(Unavailable, match="not a database"):
        await source.fetch(max_records=10, max_bytes=1 << 20, timeout_s=0.05)
    await source.close()


async def test_lag_is_what_is_not_committed(
    log: SqliteEventLog, source: SqliteSource, tmp_path: Path
) -> None:
    """Lag is asked of the log itself, in records and in seconds of the oldest."""
    await log.append([record(n, key=KEY) for n in range(5)], timeout_s=5)
    await source.commit({PARTITION: Position(2, 1)})
    lag = {one.partition: one for one in read_lag(tmp_path)}
    assert (lag[PARTITION].end_offset, lag[PARTITION].records) == (5, 3)
    assert 0 <= lag[PARTITION].seconds < 60
    assert sum(one.records for one in lag.values()) == 3
    await source.commit({PARTITION: Position(5, 1)})
    assert all(one.records == 0 and one.seconds == 0 for one in read_lag(tmp_path))


def test_lag_without_a_log_is_an_error(tmp_path: Path) -> None:
    """No log is not the same as no lag."""
    with pytest.raises(sqlite3.OperationalError):
        read_lag(tmp_path)
