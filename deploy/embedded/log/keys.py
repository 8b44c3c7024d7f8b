"""``keys.db``: the compacted topic of API keys, of which it holds the last record of each key.

Any process may write it (the command line does), so it uses a rollback journal and SQLite's own
lock instead of a write-ahead log and one writer.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from deploy.embedded.log.files import KEYS_DB, data_version
from schemas.keys import KeyRecord, KeyRing, decode_key, encode_key, standing

_log = logging.getLogger(__name__)

_DDL: Final = """
CREATE TABLE IF NOT EXISTS keys (
    append_order INTEGER PRIMARY KEY AUTOINCREMENT,
    key_id       TEXT NOT NULL UNIQUE,
    record       BLOB NOT NULL
);
"""
_POLL_S: Final = 0.5  # how late a new or revoked key is seen, at most
_BUSY_TIMEOUT_S: Final = 5.0


def append_key(directory: Path, record: KeyRecord) -> KeyRecord:
    """Append a record, which replaces the earlier one of its key but for a revocation; durable
    when it returns. Gives the record as it stands.

    Raises sqlite3.Error.
    """
    with closing(_open(directory)) as connection:
        # From here on nobody else writes: what is read is what is replaced.
        connection.execute("BEGIN IMMEDIATE")
        record = standing(_last(connection, record.key_id), record)
        row = (record.key_id, encode_key(record))
        connection.execute("REPLACE INTO keys (key_id, record) VALUES (?, ?)", row)
        connection.execute("COMMIT")
    return record


def read_keys(directory: Path) -> list[KeyRecord]:
    """Give the last record of every key, in the order of appending. Raises sqlite3.Error."""
    with closing(_open(directory)) as connection:
        return [record for _, record in _read_after(connection, 0)]


class KeysFeed:
    """Fills a ring from the topic, and keeps it up to date while `follow` runs."""

    def __init__(self, directory: Path, ring: KeyRing) -> None:
        self._connection = _open(directory)
        self._ring = ring
        self._last = 0
        self._seen_version = -1

    def catch_up(self) -> None:
        """Take in everything that was appended since. Raises sqlite3.Error."""
        self._take_in(self._read_new())

    async def follow(self) -> None:
        """Catch up until cancelled; while the file can't be read the ring keeps what it knows."""
        while True:
            await asyncio.sleep(_POLL_S)
            try:
                # In a thread, since whoever appends may hold the file for a moment.
                new = await asyncio.to_thread(self._read_new)
            except sqlite3.Error as error:
                _log.warning("the API keys can't be read, going on with those known: %s", error)
            else:
                self._take_in(new)

    def _read_new(self) -> list[tuple[int, KeyRecord]]:
        version = data_version(self._connection)
        if version == self._seen_version:
            return []
        new = _read_after(self._connection, self._last)
        self._seen_version = version
        return new

    def _take_in(self, new: list[tuple[int, KeyRecord]]) -> None:
        for append_order, record in new:
            self._ring.apply(record)
            self._last = append_order

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _open(directory: Path) -> sqlite3.Connection:
    directory.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(
        directory / KEYS_DB, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA synchronous=FULL")
    connection.executescript(_DDL)
    return connection


def _last(connection: sqlite3.Connection, key_id: str) -> KeyRecord | None:
    row = connection.execute("SELECT record FROM keys WHERE key_id = ?", (key_id,)).fetchone()
    try:
        return None if row is None else decode_key(row[0])
    except ValueError:
        return None  # it opens nothing, and what replaces it may


def _read_after(connection: sqlite3.Connection, append_order: int) -> list[tuple[int, KeyRecord]]:
    query = "SELECT append_order, record FROM keys WHERE append_order > ? ORDER BY append_order"
    found: list[tuple[int, KeyRecord]] = []
    for order, raw in connection.execute(query, (append_order,)):
        try:
            found.append((order, decode_key(raw)))
        except ValueError as error:
            # One that nobody can read opens nothing; the others must not suffer for it.
            _log.error("the API key record %d can't be read and is left out: %s", order, error)
    return found
