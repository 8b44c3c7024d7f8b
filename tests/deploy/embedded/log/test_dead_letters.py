"""The embedded dead letters, and the partition of those that were sent back."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from consumer.errors import Unavailable
from consumer.offsets import Position
from deploy.embedded.log.dead_letters import (
    SqliteDeadLetters,
    drop_letters,
    find_letters,
    open_letters,
    return_letters,
)
from deploy.embedded.log.events import SqliteEventLog
from deploy.embedded.log.files import DEAD_LETTERS_DB
from deploy.embedded.log.layout import RETURNED_PARTITION
from deploy.embedded.log.retention import RETENTION_MS
from deploy.embedded.log.source import SqliteSource
from schemas.dead_letters import MAX_REASON_CHARS, DeadLetter
from schemas.record import ATTEMPTS_HEADER, VERSION_HEADER, LogRecord
from tests.deploy.embedded.log.records import record

OLD_DDL = """
CREATE TABLE dead_letters (
    id            INTEGER PRIMARY KEY,
    partition     INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    append_ms     INTEGER NOT NULL,
    version       INTEGER NOT NULL,
    reason        TEXT NOT NULL,
    key           BLOB NOT NULL,
    value         BLOB NOT NULL,
    headers       BLOB NOT NULL,
    UNIQUE (partition, record_offset)
);
"""


def letter(offset: int, *, reason: str = "because", size_bytes: int = 3) -> DeadLetter:
    """One of partition 2; its value begins with its offset."""
    value = (b"%d" % offset).ljust(size_bytes)
    one = LogRecord(2, offset, 1234, b"t\0x", value, {"h": b"1"})
    return DeadLetter("tally.events", one, 99 + offset, reason, 1)


def everything(_: DeadLetter) -> bool:
    return True


@pytest.fixture
def letters(tmp_path: Path) -> Iterator[SqliteDeadLetters]:
    opened = SqliteDeadLetters(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[SqliteSource]:
    opened = SqliteSource(tmp_path)
    await opened.open()
    await opened.next_assignment()
    yield opened
    await opened.close()


async def fetch(source: SqliteSource, *, max_records: int = 100) -> list[LogRecord]:
    return await source.fetch(max_records=max_records, max_bytes=1 << 20, timeout_s=1)


async def test_a_letter_keeps_everything_of_its_record(
    letters: SqliteDeadLetters, tmp_path: Path
) -> None:
    """Raw bytes, origin, version, reason and attempts are there for whoever looks."""
    odd = LogRecord(4, 17, -1, b"\xff", b"\xff{", {"h": b"\xff"})
    kept = DeadLetter("tally.events", odd, 99, "the value can't be read", 3)
    await letters.append([kept, letter(1)])
    assert find_letters(tmp_path, everything) == [kept, letter(1)]
    assert find_letters(tmp_path, lambda one: one.attempts == 3) == [kept]


async def test_a_letter_that_comes_again_stays_one(
    letters: SqliteDeadLetters, tmp_path: Path
) -> None:
    """A consumer that replays a batch brings its letters again, perhaps in other words."""
    await letters.append([letter(1), letter(2)])
    await letters.append([letter(1, reason="again"), letter(3)])
    assert find_letters(tmp_path, everything) == [letter(1), letter(2), letter(3)]


async def test_a_reason_that_is_no_unicode_or_endless_can_be_kept(
    letters: SqliteDeadLetters, tmp_path: Path
) -> None:
    """Else its letter could never be written, and the consumer would stand."""
    await letters.append([letter(1, reason="\udcff" * 5000)])
    (kept,) = find_letters(tmp_path, everything)
    assert len(kept.reason) == MAX_REASON_CHARS


def test_before_there_is_a_file_there_are_no_letters(tmp_path: Path) -> None:
    """Looking makes none."""
    assert find_letters(tmp_path, everything) == []
    assert list(tmp_path.iterdir()) == []


async def test_a_returned_letter_is_read_again(
    letters: SqliteDeadLetters, source: SqliteSource, tmp_path: Path
) -> None:
    """With its first append time, version and attempts, once, by a source that runs already."""
    assert await source.fetch(max_records=9, max_bytes=99, timeout_s=0.05) == []
    await letters.append([letter(1), letter(2), letter(3)])
    assert return_letters(tmp_path, [letter(2), letter(3)]) == 2
    assert find_letters(tmp_path, everything) == [letter(1)]
    records = await fetch(source)
    assert [(one.partition, one.offset) for one in records] == [
        (RETURNED_PARTITION, 1),
        (RETURNED_PARTITION, 2),
    ]
    assert records[0].key == b"t\0x"
    assert records[0].append_ms == 1234
    assert records[0].headers == {"h": b"1", VERSION_HEADER: b"101", ATTEMPTS_HEADER: b"1"}
    assert await source.fetch(max_records=9, max_bytes=99, timeout_s=0.05) == []


async def test_a_letter_is_returned_by_one_person_only(
    letters: SqliteDeadLetters, tmp_path: Path
) -> None:
    """Of two who return or drop it at once, one hears that it was gone."""
    await letters.append([letter(1), letter(2)])
    assert return_letters(tmp_path, [letter(1)]) == 1
    assert return_letters(tmp_path, [letter(1), letter(2)]) == 1
    assert drop_letters(tmp_path, [letter(1), letter(2)]) == 0


async def test_a_dropped_letter_is_gone(
    letters: SqliteDeadLetters, source: SqliteSource, tmp_path: Path
) -> None:
    """Only that one, and nobody reads it."""
    await letters.append([letter(1), letter(2)])
    assert drop_letters(tmp_path, [letter(1)]) == 1
    assert find_letters(tmp_path, everything) == [letter(2)]
    assert await source.fetch(max_records=9, max_bytes=99, timeout_s=0.05) == []


async def test_what_was_returned_is_read_from_the_commit_on(
    letters: SqliteDeadLetters, tmp_path: Path
) -> None:
    """A consumer that starts again reads what it had not committed, in small bites as in large."""
    await letters.append([letter(n) for n in range(9)])
    return_letters(tmp_path, [letter(n) for n in range(9)])
    first = SqliteSource(tmp_path)
    await first.open()
    await first.next_assignment()
    assert len(await fetch(first)) == 9
    await first.commit({RETURNED_PARTITION: Position(4, 0)})
    await first.close()
    second = SqliteSource(tmp_path)
    await second.open()
    assignment = await second.next_assignment()
    assert assignment.positions == {RETURNED_PARTITION: Position(4, 0)}
    offsets: list[int] = []
    for _ in range(3):
        offsets += [one.offset for one in await fetch(second, max_records=2)]
    assert offsets == [4, 5, 6, 7, 8, 9]
    await second.close()


async def test_returned_records_are_bounded_in_bytes(
    letters: SqliteDeadLetters, source: SqliteSource, tmp_path: Path
) -> None:
    """Large ones come a few at a time, and one over the limit comes alone."""
    large = [letter(n, size_bytes=1000) for n in range(4)]
    await letters.append(large)
    return_letters(tmp_path, large)
    sizes = [
        len(await source.fetch(max_records=99, max_bytes=limit, timeout_s=1))
        for limit in (1, 1500, 5000)
    ]
    assert sizes == [1, 2, 1]


async def test_a_busy_log_does_not_keep_returned_records_waiting(
    letters: SqliteDeadLetters, source: SqliteSource, tmp_path: Path
) -> None:
    """They are few, and go first; the log's own records follow."""
    log = SqliteEventLog(tmp_path)
    await log.append([record(n) for n in range(50)], timeout_s=5)
    await letters.append([letter(1)])
    return_letters(tmp_path, [letter(1)])
    assert [one.partition for one in await fetch(source, max_records=8)] == [RETURNED_PARTITION]
    rest = [one for _ in range(30) for one in await fetch_soon(source)]
    assert sorted(int(one.value) for one in rest) == list(range(50))
    await log.close()


async def fetch_soon(source: SqliteSource) -> list[LogRecord]:
    return await source.fetch(max_records=8, max_bytes=1 << 20, timeout_s=0)


async def test_offsets_never_go_below_the_commit(
    letters: SqliteDeadLetters, source: SqliteSource, tmp_path: Path
) -> None:
    """Even if somebody deleted the file: a lower offset would never be read."""
    await letters.append([letter(1), letter(2)])
    return_letters(tmp_path, [letter(1), letter(2)])
    assert len(await fetch(source)) == 2
    await source.commit({RETURNED_PARTITION: Position(3, 0)})
    await source.close()
    letters.close()
    (tmp_path / DEAD_LETTERS_DB).unlink()
    again = SqliteDeadLetters(tmp_path)
    await again.append([letter(3)])
    return_letters(tmp_path, [letter(3)])
    again.close()
    later = SqliteSource(tmp_path)
    await later.open()
    await later.next_assignment()
    assert [one.offset for one in await fetch(later)] == [3]
    await later.close()


async def test_what_was_committed_long_ago_is_deleted(
    letters: SqliteDeadLetters, source: SqliteSource, tmp_path: Path
) -> None:
    """At the next return; what is new or not committed stays."""
    await letters.append([letter(n) for n in range(5)])
    return_letters(tmp_path, [letter(0), letter(1), letter(2)])
    with closing(open_letters(tmp_path)) as connection:
        connection.execute(
            "UPDATE returned SET returned_ms = returned_ms - ? WHERE id != 2", (RETENTION_MS + 1,)
        )
    await source.commit({RETURNED_PARTITION: Position(3, 0)})
    return_letters(tmp_path, [letter(3)])
    with closing(open_letters(tmp_path)) as connection:
        kept = [row[0] for row in connection.execute("SELECT id FROM returned ORDER BY id")]
    assert kept == [2, 3, 4]


async def test_a_file_of_an_earlier_version_is_taken_over(tmp_path: Path) -> None:
    """It had a write-ahead log and no attempts; its letters stay."""
    with closing(sqlite3.connect(tmp_path / DEAD_LETTERS_DB)) as old:
        old.execute("PRAGMA journal_mode=WAL")
        old.executescript(OLD_DDL)
        row = (2, 7, 1234, 106, "because", b"t\0x", b"7  ", b"\x81\xa1h\xc4\x011")
        old.execute(f"INSERT INTO dead_letters VALUES (NULL{', ?' * len(row)})", row)
        old.commit()
        # Open, as the consumer of before has it open: it must be stopped first.
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            open_letters(tmp_path)
    assert find_letters(tmp_path, everything) == [letter(7)]
    letters = SqliteDeadLetters(tmp_path)
    await letters.append([letter(8)._replace(attempts=2)])
    assert return_letters(tmp_path, [letter(7)]) == 1
    letters.close()
    with closing(open_letters(tmp_path)) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    assert mode == "delete"


async def test_a_broken_file_is_unavailable(source: SqliteSource, tmp_path: Path) -> None:
    """It is named, and tried again: what was returned must not be forgotten."""
    (tmp_path / DEAD_LETTERS_DB).write_bytes(b"this is no database" * 100)
    with pytest.raises(Unavailable, match=r"dead_letters\.db can't be read"):
        await fetch(source)
    (tmp_path / DEAD_LETTERS_DB).unlink()
    assert await source.fetch(max_records=9, max_bytes=99, timeout_s=0.05) == []
