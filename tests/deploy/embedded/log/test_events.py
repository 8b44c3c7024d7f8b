"""Appending to the embedded log."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.embedded.log.events import SqliteEventLog
from deploy.embedded.log.files import LOG_DB, AlreadyOpen, open_reader
from deploy.embedded.log.source import SqliteSource
from ingest_gateway.errors import NotStored, OutcomeUnknown
from schemas.record import LogRecord
from tests.deploy.embedded.log.records import HEADERS, record


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteEventLog]:
    opened = SqliteEventLog(tmp_path)
    yield opened
    await opened.close()


async def read_all(directory: Path) -> list[LogRecord]:
    """Everything in the log, partition by partition."""
    source = SqliteSource(directory)
    await source.open()
    await source.next_assignment()
    try:
        found: list[LogRecord] = []
        while some := await source.fetch(max_records=1000, max_bytes=1 << 20, timeout_s=0.05):
            found += some
        return found
    finally:
        await source.close()


async def test_what_append_returned_for_is_in_the_file(log: SqliteEventLog, tmp_path: Path) -> None:
    """When `append` returns, another connection reads the records, headers and all."""
    before_ms = time.time_ns() // 1_000_000
    await log.append([record(1), record(2)], timeout_s=5)
    found = sorted(await read_all(tmp_path), key=lambda one: one.value)
    assert [(one.key, one.value, one.headers) for one in found] == [
        (b"t\x001", b"1", HEADERS),
        (b"t\x002", b"2", HEADERS),
    ]
    assert all(before_ms <= one.append_ms <= time.time_ns() // 1_000_000 for one in found)


async def test_one_key_keeps_its_order(log: SqliteEventLog, tmp_path: Path) -> None:
    """Sends of one key land in one partition, in the order of their appends."""
    for number in range(50):
        await log.append([record(number, key="t\0x")], timeout_s=5)
    found = await read_all(tmp_path)
    assert [int(one.value) for one in found] == list(range(50))
    assert len({one.partition for one in found}) == 1
    assert [one.offset for one in found] == list(range(50))


async def test_many_requests_at_once_all_land(log: SqliteEventLog, tmp_path: Path) -> None:
    """Requests that wait together are committed together, none lost, none doubled."""
    await asyncio.gather(
        *(log.append([record(n), record(1000 + n)], timeout_s=5) for n in range(300))
    )
    values = sorted(int(one.value) for one in await read_all(tmp_path))
    assert values == [*range(300), *range(1000, 1300)]


async def test_offsets_go_on_after_a_restart(tmp_path: Path) -> None:
    """A log that is opened again appends after what it holds."""
    for number in range(3):
        log = SqliteEventLog(tmp_path)
        await log.append([record(number, key="t\0x")], timeout_s=5)
        await log.close()
    assert [one.offset for one in await read_all(tmp_path)] == [0, 1, 2]


async def test_a_second_writer_is_refused(log: SqliteEventLog, tmp_path: Path) -> None:
    """A directory has one writer, and the error names the lock."""
    with pytest.raises(AlreadyOpen, match=r"log\.db\.lock"):
        SqliteEventLog(tmp_path)


async def test_close_appends_what_waits_and_may_be_repeated(tmp_path: Path) -> None:
    """Requests that were handed over before the close still land."""
    log = SqliteEventLog(tmp_path)
    waiting = [asyncio.create_task(log.append([record(n)], timeout_s=5)) for n in range(20)]
    await asyncio.sleep(0)
    await log.close()
    await log.close()
    await asyncio.gather(*waiting)
    assert len(await read_all(tmp_path)) == 20


async def test_a_full_disk_is_not_stored_and_passes(log: SqliteEventLog, tmp_path: Path) -> None:
    """When the file can't grow the sender hears "not stored"; with room again it goes on."""
    await log.append([record(0)], timeout_s=5)
    connection = log._writer.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(NotStored, match="full"):
        await log.append([record(1, size_bytes=100_000)], timeout_s=5)
    assert "full" in str(log.trouble())
    connection.execute("PRAGMA max_page_count=1000000")
    await log.append([record(2, size_bytes=100_000)], timeout_s=5)
    assert {int(one.value) for one in await read_all(tmp_path)} == {0, 2}


BLOCK_WRITER = """
import fcntl, sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


async def test_a_stuck_log_answers_in_time(log: SqliteEventLog, tmp_path: Path) -> None:
    """What the writing thread has taken is unknown after the time-out, what still waits is not
    stored; neither waits longer.
    """
    await log.append([record(0)], timeout_s=5)
    blocker = subprocess.Popen(
        [sys.executable, "-c", BLOCK_WRITER, str(tmp_path / LOG_DB)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert blocker.stdout is not None
    assert blocker.stdout.readline() == b"locked\n"
    try:
        taken = asyncio.create_task(log.append([record(1)], timeout_s=0.5))
        await asyncio.sleep(0.2)
        waiting = asyncio.create_task(log.append([record(2)], timeout_s=0.3))
        results = await asyncio.gather(taken, waiting, return_exceptions=True)
    finally:
        blocker.communicate()
    assert isinstance(results[0], OutcomeUnknown)
    assert isinstance(results[1], NotStored)
    await log.append([record(3)], timeout_s=10)
    values = {int(one.value) for one in await read_all(tmp_path)}
    assert 2 not in values
    assert {0, 3} <= values


async def test_readers_do_not_hold_up_appends(log: SqliteEventLog, tmp_path: Path) -> None:
    """A reader in the middle of a transaction is no reason for an append to wait."""
    await log.append([record(0)], timeout_s=5)
    reader = open_reader(tmp_path, LOG_DB)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM records").fetchone()
    await log.append([record(1)], timeout_s=5)
    reader.close()


KILLED_WRITER = """
import asyncio, sys
from pathlib import Path
from deploy.embedded.log.events import SqliteEventLog
from tests.deploy.embedded.log.records import record

async def main():
    log = SqliteEventLog(Path(sys.argv[1]))
    for number in range(1_000_000):
        await log.append([record(number)], timeout_s=5)
        print(number, flush=True)

asyncio.run(main())
"""


async def test_every_acknowledged_append_survives_a_kill(tmp_path: Path) -> None:
    """After SIGKILL in mid-append the log opens again and holds everything it confirmed."""
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED_WRITER, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[4],
    )
    assert writer.stdout is not None
    for _ in range(200):
        writer.stdout.readline()
    writer.kill()
    confirmed = 200 + len(writer.communicate()[0].splitlines())
    log = SqliteEventLog(tmp_path)
    await log.close()
    found = {int(one.value) for one in await read_all(tmp_path)}
    assert set(range(confirmed - 1)) <= found
