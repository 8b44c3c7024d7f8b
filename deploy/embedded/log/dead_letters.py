"""``dead_letters.db``: records that could not be stored, whole, with origin and reason."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from consumer.dead_letter import DeadLetter
from consumer.errors import Unavailable
from deploy.embedded.log.files import DEAD_LETTERS_DB, Writer
from deploy.embedded.log.layout import encode_headers

_DDL: Final = """
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
);
"""
_INSERT: Final = (
    "INSERT OR IGNORE INTO dead_letters"
    " (partition, record_offset, append_ms, version, reason, key, value, headers)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


class SqliteDeadLetters:
    """A `consumer.dead_letter.DeadLetters`. Raises AlreadyOpen if another process writes it."""

    def __init__(self, directory: Path) -> None:
        self._writer = Writer(directory, DEAD_LETTERS_DB, _DDL)

    async def append(self, letters: Sequence[DeadLetter]) -> None:
        """See `DeadLetters.append`."""
        try:
            await asyncio.to_thread(self._insert, letters)
        except sqlite3.Error as error:
            raise Unavailable(f"the dead letters can't be written: {error}") from error

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        self._writer.close()

    def _insert(self, letters: Sequence[DeadLetter]) -> None:
        rows = [
            (
                letter.record.partition,
                letter.record.offset,
                letter.record.append_ms,
                letter.version,
                letter.reason,
                letter.record.key,
                letter.record.value,
                encode_headers(letter.record.headers),
            )
            for letter in letters
        ]
        with self._writer.connection as connection:
            connection.execute("BEGIN")
            connection.executemany(_INSERT, rows)
