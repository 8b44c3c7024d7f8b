"""Deleting old records."""

from __future__ import annotations

from pathlib import Path

from consumer.offsets import Position
from deploy.embedded.log.events import SqliteEventLog
from deploy.embedded.log.layout import partition_of
from deploy.embedded.log.retention import RETENTION_MS, delete_expired
from deploy.embedded.log.source import SqliteSource
from tests.deploy.embedded.log.records import record

KEY = "t\0x"
PARTITION = partition_of(KEY.encode())


async def test_only_old_and_committed_records_go(tmp_path: Path) -> None:
    """Young records stay, uncommitted ones stay however old, and so does the newest of all,
    which says what the next offset is.
    """
    now_ms = 10 * RETENTION_MS
    clock = [0]
    log = SqliteEventLog(tmp_path, clock_ms=lambda: clock[0])
    source = SqliteSource(tmp_path)
    await source.open()

    async def offsets_left() -> list[int]:
        query = "SELECT id & 0xFFFFFFFF FROM records ORDER BY id"
        return [row[0] for row in log._writer.connection.execute(query)]

    await log.append([record(n, key=KEY) for n in range(3)], timeout_s=5)
    clock[0] = now_ms - 1000
    await log.append([record(3, key=KEY)], timeout_s=5)
    delete_expired(log._writer.connection, tmp_path, now_ms)
    assert await offsets_left() == [0, 1, 2, 3]
    await source.commit({PARTITION: Position(2, 1)})
    assert not delete_expired(log._writer.connection, tmp_path, now_ms)
    assert await offsets_left() == [2, 3]
    await source.commit({PARTITION: Position(4, 1)})
    delete_expired(log._writer.connection, tmp_path, now_ms + 2 * RETENTION_MS)
    assert await offsets_left() == [3]
    await source.close()
    await log.close()
    again = SqliteEventLog(tmp_path)
    await again.append([record(4, key=KEY)], timeout_s=5)
    rows = again._writer.connection.execute("SELECT id & 0xFFFFFFFF FROM records").fetchall()
    assert rows == [(3,), (4,)]
    await again.close()


async def test_more_than_one_bite_is_taken_in_several(tmp_path: Path) -> None:
    """Deleting never holds up appends for long, and says when there is more to delete."""
    clock = [0]
    log = SqliteEventLog(tmp_path, clock_ms=lambda: clock[0])
    source = SqliteSource(tmp_path)
    await source.open()
    await log.append([record(n, key=KEY) for n in range(5_000)], timeout_s=20)
    await source.commit({PARTITION: Position(5_000, 1)})
    connection = log._writer.connection
    bites = 1
    while delete_expired(connection, tmp_path, 2 * RETENTION_MS):
        bites += 1
    assert bites == 3
    assert connection.execute("SELECT id & 0xFFFFFFFF FROM records").fetchall() == [(4_999,)]
    await source.close()
    await log.close()
