"""Records that a person sent back from the dead letters, as one more partition of the log."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from consumer.errors import Unavailable
from deploy.embedded.log.dead_letters import open_letters
from deploy.embedded.log.files import DEAD_LETTERS_DB, data_version
from deploy.embedded.log.layout import RETURNED_PARTITION, decode_headers
from schemas.record import LogRecord

_POLL_S: Final = 0.5  # how late a returned record is seen, at most
_SELECT: Final = (
    "SELECT id, append_ms, key, value, headers FROM returned WHERE id >= ? ORDER BY id LIMIT ?"
)


class ReturnedReader:
    """Reads the partition. Everything blocks; one thread at a time may use it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._connection: sqlite3.Connection | None = None
        self._seen: tuple[int, int] | None = None  # data version, next offset: nothing was there
        self._look_again_at = 0.0

    def is_due(self) -> bool:
        """Whether it is time to look again; costs nothing."""
        return time.monotonic() >= self._look_again_at

    def read(self, next_offset: int, *, max_records: int, max_bytes: int) -> list[LogRecord]:
        """Give the next records; the last one may go over ``max_bytes``.

        Raises `Unavailable` if the file can't be read just now.
        """
        try:
            records = self._read(next_offset, max_records, max_bytes)
        except sqlite3.Error as error:
            self.close()
            raise Unavailable(f"{DEAD_LETTERS_DB} can't be read: {error}") from error
        if not records:
            self._look_again_at = time.monotonic() + _POLL_S
        return records

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._seen = None

    def _read(self, next_offset: int, max_records: int, max_bytes: int) -> list[LogRecord]:
        if self._connection is None:
            if not (self._directory / DEAD_LETTERS_DB).exists():
                return []
            self._connection = open_letters(self._directory)
        now = (data_version(self._connection), next_offset)
        if now == self._seen:
            return []
        records: list[LogRecord] = []
        # Closed at once: an open cursor would keep everybody else from writing.
        with closing(self._connection.execute(_SELECT, (next_offset, max_records))) as rows:
            for offset, append_ms, key, value, encoded in rows:
                headers = decode_headers(encoded)
                records.append(
                    LogRecord(RETURNED_PARTITION, offset, append_ms, key, value, headers)
                )
                max_bytes -= len(value)
                if max_bytes <= 0:
                    break
        self._seen = None if records else now
        return records
