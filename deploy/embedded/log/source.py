"""The consumer's side of the embedded log: reading records, committing offsets."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from consumer.errors import Unavailable
from consumer.offsets import Position
from consumer.source import Assignment
from deploy.embedded.log.files import LOG_DB, data_version, open_reader
from deploy.embedded.log.groups import Commit, GroupsWriter
from deploy.embedded.log.layout import (
    EVENTS_TOPIC,
    PARTITIONS,
    RETURNED_PARTITION,
    decode_headers,
    offset_of,
    row_id,
)
from deploy.embedded.log.returned import ReturnedReader
from schemas.record import LogRecord

# SQLite tells nobody in another process of a commit: one pragma, some microseconds, asks.
_POLL_S: Final = 0.02
_SELECT: Final = (
    "SELECT id, append_ms, key, value, headers FROM records"
    " WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
)


class SqliteSource:
    """A `consumer.source.Source` over the embedded log, with every partition for itself."""

    topic: Final = EVENTS_TOPIC

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._next_offsets = dict.fromkeys(range(PARTITIONS), 0)
        self._next_returned = 0
        self._returned = ReturnedReader(directory)
        self._groups: GroupsWriter | None = None
        self._reader: sqlite3.Connection | None = None
        self._seen_version: int | None = None
        self._is_assigned = False

    async def open(self) -> None:
        """See `Source.open`. Raises AlreadyOpen if another consumer reads this directory."""
        self._groups = GroupsWriter(self._directory)

    async def next_assignment(self) -> Assignment:
        """See `Source.next_assignment`: every partition, for as long as this source is open."""
        assert self._groups is not None, "open() comes first"
        if self._is_assigned:
            await asyncio.Event().wait()  # there is never another one
        self._is_assigned = True
        positions = {
            partition: Position.from_commit(*commit)
            for partition, commit in self._groups.read().items()
        }
        for partition, position in positions.items():
            if partition == RETURNED_PARTITION:
                self._next_returned = position.next_offset
            else:
                self._next_offsets[partition] = position.next_offset
        return Assignment(positions)

    async def fetch(self, *, max_records: int, max_bytes: int, timeout_s: float) -> list[LogRecord]:
        """See `Source.fetch`."""
        deadline = time.monotonic() + timeout_s
        while True:
            if records := await self._fetch_returned(max_records, max_bytes):
                return records
            try:
                records = await self._fetch_now(max_records, max_bytes)
            except sqlite3.Error as error:
                self._close_reader()
                if (self._directory / LOG_DB).exists():
                    raise Unavailable(f"the log can't be read: {error}") from error
                records = []  # the gateway has not made it yet
            if records or time.monotonic() >= deadline:
                return records
            await asyncio.sleep(min(_POLL_S, timeout_s))

    async def commit(self, positions: Mapping[int, Position]) -> None:
        """See `Source.commit`."""
        assert self._groups is not None, "open() comes first"
        commits = {
            partition: Commit(position.next_offset, position.metadata())
            for partition, position in positions.items()
        }
        try:
            await asyncio.to_thread(self._groups.commit, commits)
        except sqlite3.Error as error:
            raise Unavailable(f"the offsets can't be committed: {error}") from error

    def release(self) -> None:
        """See `Source.release`."""

    async def close(self) -> None:
        """See `Source.close`."""
        self._returned.close()
        self._close_reader()
        if self._groups is not None:
            self._groups.close()

    async def _fetch_now(self, max_records: int, max_bytes: int) -> list[LogRecord]:
        if self._reader is None:
            self._reader = open_reader(self._directory, LOG_DB)
            self._seen_version = None
        version = data_version(self._reader)
        if version == self._seen_version:
            return []
        # A thread that a cancellation leaves behind changes nothing: offsets move here.
        records = await asyncio.to_thread(
            _select, self._reader, dict(self._next_offsets), max_records, max_bytes
        )
        for record in records:
            self._next_offsets[record.partition] = record.offset + 1
        if not records:
            self._seen_version = version
        return records

    async def _fetch_returned(self, max_records: int, max_bytes: int) -> list[LogRecord]:
        """Read what came back from the dead letters. There is little of it, and it goes first, or
        a log that is never empty would keep it waiting.
        """
        if not self._returned.is_due():
            return []
        records = await asyncio.to_thread(
            self._returned.read, self._next_returned, max_records=max_records, max_bytes=max_bytes
        )
        if records:
            self._next_returned = records[-1].offset + 1
        return records

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _select(
    reader: sqlite3.Connection,
    next_offsets: Mapping[int, int],
    max_records: int,
    max_bytes: int,
) -> list[LogRecord]:
    """Read each partition's next records; every partition has an equal part of the limits."""
    records: list[LogRecord] = []
    limit = max(1, max_records // len(next_offsets))
    headers_seen: dict[bytes, Mapping[str, bytes]] = {}
    for partition, next_offset in next_offsets.items():
        bounds = (row_id(partition, next_offset), row_id(partition + 1, 0))
        bytes_left = max_bytes // len(next_offsets)
        for row, append_ms, key, value, encoded in reader.execute(_SELECT, (*bounds, limit)):
            headers = headers_seen.get(encoded)
            if headers is None:
                headers = headers_seen[encoded] = decode_headers(encoded)
            records.append(LogRecord(partition, offset_of(row), append_ms, key, value, headers))
            bytes_left -= len(value)
            if bytes_left <= 0:
                break
    return records
