"""``dead_letters.db``: records that could not be stored, whole, with origin and reason; and those
of them that a person sent back, for the consumer to read once more.

Any process may write it (the command line does), so it uses a rollback journal and SQLite's own
lock instead of a write-ahead log and one writer.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from consumer.errors import Unavailable
from deploy.embedded.log.files import DEAD_LETTERS_DB
from deploy.embedded.log.groups import read_commits
from deploy.embedded.log.layout import (
    EVENTS_TOPIC,
    RETURNED_PARTITION,
    decode_headers,
    encode_headers,
)
from deploy.embedded.log.retention import RETENTION_MS
from schemas.dead_letters import DeadLetter, returning, storable
from schemas.record import LogRecord

_LETTERS_DDL: Final = """
CREATE TABLE IF NOT EXISTS dead_letters (
    id            INTEGER PRIMARY KEY,
    partition     INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    append_ms     INTEGER NOT NULL,
    version       INTEGER NOT NULL,
    reason        TEXT NOT NULL,
    key           BLOB NOT NULL,
    value         BLOB NOT NULL,
    headers       BLOB NOT NULL,
    UNIQUE (partition, record_offset)  -- a replay brings the same letter again
)
"""
_ATTEMPTS_DDL: Final = "ALTER TABLE dead_letters ADD COLUMN attempts INTEGER NOT NULL DEFAULT 1"
_RETURNED_DDL: Final = """
CREATE TABLE returned (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,  -- the offset: never used twice
    append_ms   INTEGER NOT NULL,                   -- of the first append
    returned_ms INTEGER NOT NULL,
    key         BLOB NOT NULL,
    value       BLOB NOT NULL,
    headers     BLOB NOT NULL
)
"""
_LAYOUT: Final = 1  # SQLite's user_version of a file that has all of these
_INSERT: Final = (
    "INSERT OR IGNORE INTO dead_letters"
    " (partition, record_offset, append_ms, version, reason, key, value, headers, attempts)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SELECT: Final = (
    "SELECT partition, record_offset, append_ms, version, reason, key, value, headers, attempts"
    " FROM dead_letters ORDER BY id"
)
_DELETE: Final = "DELETE FROM dead_letters WHERE partition = ? AND record_offset = ?"
_LAST_RETURNED: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'returned'"
_RETURN: Final = "INSERT INTO returned VALUES (?, ?, ?, ?, ?, ?)"
_EXPIRE: Final = "DELETE FROM returned WHERE id < ? AND returned_ms < ?"
_BUSY_TIMEOUT_S: Final = 5.0


class SqliteDeadLetters:
    """A `consumer.dead_letter.DeadLetters`. Raises sqlite3.Error if the file can't be opened."""

    def __init__(self, directory: Path) -> None:
        self._connection = open_letters(directory)

    async def append(self, letters: Sequence[DeadLetter]) -> None:
        """See `DeadLetters.append`."""
        try:
            await asyncio.to_thread(self._insert, letters)
        except sqlite3.Error as error:
            raise Unavailable(f"the dead letters can't be written: {error}") from error

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._connection.close()

    def _insert(self, letters: Sequence[DeadLetter]) -> None:
        rows = [
            (
                letter.record.partition,
                letter.record.offset,
                letter.record.append_ms,
                letter.version,
                storable(letter.reason),
                letter.record.key,
                letter.record.value,
                encode_headers(letter.record.headers),
                letter.attempts,
            )
            for letter in letters
        ]
        with _transaction(self._connection):
            self._connection.executemany(_INSERT, rows)


def find_letters(directory: Path, wanted: Callable[[DeadLetter], bool]) -> list[DeadLetter]:
    """Give the letters that are wanted, in the order in which they came; none before there is a
    file. Raises sqlite3.Error.
    """
    if not (directory / DEAD_LETTERS_DB).exists():
        return []
    with closing(open_letters(directory)) as connection:
        letters = (_letter(*row) for row in connection.execute(_SELECT))
        return [letter for letter in letters if wanted(letter)]


def return_letters(directory: Path, letters: Collection[DeadLetter]) -> int:
    """Move letters to where the consumer reads them again, all or none; durable when it returns.

    Gives how many were still there to be moved. Raises sqlite3.Error.
    """
    now_ms = time.time_ns() // 1_000_000
    commit = read_commits(directory).get(RETURNED_PARTITION)
    committed = commit.next_offset if commit else 0
    moved = 0
    with closing(open_letters(directory)) as connection, _transaction(connection):
        connection.execute(_EXPIRE, (committed, now_ms - RETENTION_MS))
        last = connection.execute(_LAST_RETURNED).fetchone()
        # Never below the commit, even if somebody deleted the file and it counts from 1 again.
        offset = max(last[0] + 1 if last else 1, committed)
        for letter in letters:
            if not _delete(connection, letter):
                continue
            record = returning(letter)
            row = (
                offset + moved,
                letter.record.append_ms,
                now_ms,
                record.key,
                record.value,
                encode_headers(record.headers),
            )
            connection.execute(_RETURN, row)
            moved += 1
    return moved


def drop_letters(directory: Path, letters: Collection[DeadLetter]) -> int:
    """Delete letters, all or none; give how many were still there. Raises sqlite3.Error."""
    with closing(open_letters(directory)) as connection, _transaction(connection):
        return sum(_delete(connection, letter) for letter in letters)


def open_letters(directory: Path) -> sqlite3.Connection:
    """Open the file, made or brought up to date if need be. One thread at a time may use it.

    Raises sqlite3.Error, also while another process still has the file of an earlier version open.
    """
    directory.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(
        directory / DEAD_LETTERS_DB,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA journal_mode=DELETE")  # it had a write-ahead log once
        # FULL would leave the journal's end unsynced: a loss of power could undo a commit.
        connection.execute("PRAGMA synchronous=EXTRA")
        connection.execute("PRAGMA fullfsync=1")
        if _layout(connection) < _LAYOUT:
            _bring_up_to_date(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _layout(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    with _transaction(connection):
        if _layout(connection) < _LAYOUT:  # else another process was first
            connection.execute(_LETTERS_DDL)
            connection.execute(_ATTEMPTS_DDL)
            connection.execute(_RETURNED_DDL)
            connection.execute(f"PRAGMA user_version={_LAYOUT}")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do what the block does as a whole, or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        yield


def _delete(connection: sqlite3.Connection, letter: DeadLetter) -> bool:
    """Delete a letter; False if somebody else did."""
    origin = (letter.record.partition, letter.record.offset)
    return connection.execute(_DELETE, origin).rowcount > 0


def _letter(
    partition: int,
    offset: int,
    append_ms: int,
    version: int,
    reason: str,
    key: bytes,
    value: bytes,
    headers: bytes,
    attempts: int,
) -> DeadLetter:
    record = LogRecord(partition, offset, append_ms, key, value, decode_headers(headers))
    return DeadLetter(EVENTS_TOPIC, record, version, reason, attempts)
