"""The gateway's side of the embedded log: one thread appends for all requests."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import Final

from deploy.embedded.log.files import LOG_DB, Writer
from deploy.embedded.log.layout import (
    PARTITIONS,
    RECORDS_DDL,
    encode_headers,
    partition_of,
    row_id,
)
from deploy.embedded.log.retention import delete_expired
from ingest_gateway.errors import NotStored, OutcomeUnknown
from schemas.record import Record

_log = logging.getLogger(__name__)

_INSERT: Final = "INSERT INTO records VALUES (?, ?, ?, ?, ?)"
_MAX_GROUP_BYTES: Final = 16 * 1024 * 1024  # a commit this large has long paid for its fsync
_HOUSEKEEPING_S: Final = 60.0
_HOUSEKEEPING_PAUSE_S: Final = 0.25  # while there is more to delete
_TROUBLE_LASTS_S: Final = 5.0


class _State(Enum):
    WAITING = auto()
    TAKEN = auto()
    WITHDRAWN = auto()


class _Append:
    """A request's records on their way to the writing thread, and back to its event loop."""

    def __init__(self, records: Sequence[Record], done: asyncio.Future[None]) -> None:
        self.records = records
        self.size_bytes = sum(record.size_bytes for record in records)
        self.done = done
        self._state = _State.WAITING
        self._lock = threading.Lock()

    def move_to(self, state: _State) -> bool:
        """Leave WAITING for ``state``; False if the other side was first."""
        with self._lock:
            if self._state is not _State.WAITING:
                return False
            self._state = state
            return True

    def withdraw(self) -> bool:
        """Take it back, and let go of its records, unless the thread has taken it."""
        withdrawn = self.move_to(_State.WITHDRAWN)
        if withdrawn:
            self.records = ()
        return withdrawn

    def settle(self, error: Exception | None) -> None:
        """Wake the request; on its own loop."""
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class SqliteEventLog:
    """An `ingest_gateway.log.EventLog` in ``log.db``: one thread, one commit for all who wait.

    Raises AlreadyOpen if another process appends to the directory. ``clock_ms`` is the log's own
    clock, which stamps every record.
    """

    def __init__(
        self, directory: Path, *, clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self._directory = directory
        self._clock_ms = clock_ms
        self._writer = Writer(directory, LOG_DB, RECORDS_DDL)
        self._next_ids = [self._find_next_id(partition) for partition in range(PARTITIONS)]
        self._queue: queue.SimpleQueue[_Append | None] = queue.SimpleQueue()
        self._failed_at = -_TROUBLE_LASTS_S
        self._failure = ""
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def append(self, records: Sequence[Record], *, timeout_s: float) -> None:
        """See `EventLog.append`. What times out before the thread took it is not stored."""
        append = _Append(records, self._loop.create_future())
        self._queue.put(append)
        try:
            async with asyncio.timeout(timeout_s):
                await append.done
        except TimeoutError:
            if append.withdraw():
                raise NotStored(f"the log took no records for {timeout_s:g} s") from None
            raise OutcomeUnknown(f"the log has not confirmed within {timeout_s:g} s") from None
        except asyncio.CancelledError:
            append.withdraw()
            raise

    def trouble(self) -> str | None:
        """See `EventLog.trouble`. Forgotten after 5 s, so that new requests try again."""
        if not self._thread.is_alive():
            return "the log's writing thread has ended"
        if time.monotonic() - self._failed_at < _TROUBLE_LASTS_S:
            return self._failure
        return None

    async def close(self, *, timeout_s: float = 10.0) -> None:
        """Append what waits, then close; after ``timeout_s`` the rest is left with its outcome
        unknown. May be called twice.
        """
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, timeout_s)
        if self._thread.is_alive():
            _log.error("the log did not close within %g s; appends are left unknown", timeout_s)
        else:
            self._writer.close()

    def _find_next_id(self, partition: int) -> int:
        query = "SELECT max(id) FROM records WHERE id >= ? AND id < ?"
        first, end = row_id(partition, 0), row_id(partition + 1, 0)
        (last,) = self._writer.connection.execute(query, (first, end)).fetchone()
        return first if last is None else int(last) + 1

    def _run(self) -> None:
        try:
            self._write_until_closed()
        except BaseException:
            # Without this thread every append would time out for ever. What it had taken is
            # unknown to its senders, who hear that from the broken connection.
            _log.critical("the log's writing thread failed; the process ends", exc_info=True)
            logging.shutdown()
            os._exit(1)

    def _write_until_closed(self) -> None:
        """The writing thread: wait for one, take all that wait, commit once."""
        housekeeping_at = time.monotonic() + _HOUSEKEEPING_S
        closing = False
        while not closing:
            with suppress(queue.Empty):
                first = self._queue.get(timeout=max(0.0, housekeeping_at - time.monotonic()))
                group, closing = self._take_group(first)
                if group:
                    self._commit(group)
            if time.monotonic() >= housekeeping_at:
                connection, now_ms = self._writer.connection, self._clock_ms()
                has_more = delete_expired(connection, self._directory, now_ms)
                pause_s = _HOUSEKEEPING_PAUSE_S if has_more else _HOUSEKEEPING_S
                housekeeping_at = time.monotonic() + pause_s

    def _take_group(self, item: _Append | None) -> tuple[list[_Append], bool]:
        group: list[_Append] = []
        size_bytes = 0
        while item is not None:
            if item.move_to(_State.TAKEN):
                group.append(item)
                size_bytes += item.size_bytes
            if size_bytes >= _MAX_GROUP_BYTES:
                return group, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _commit(self, group: list[_Append]) -> None:
        error = self._try_commit(group)
        if error is not None:
            self._failure, self._failed_at = str(error), time.monotonic()
            _log.error("appending %d requests failed: %s", len(group), error)

        def settle_all() -> None:
            for append in group:
                append.settle(error)

        try:
            self._loop.call_soon_threadsafe(settle_all)
        except RuntimeError:
            _log.warning(
                "the event loop ended before %d requests heard of their append", len(group)
            )

    def _try_commit(self, group: list[_Append]) -> Exception | None:
        connection = self._writer.connection
        next_ids = list(self._next_ids)
        rows = self._rows(group, next_ids)
        try:
            connection.execute("BEGIN")
            connection.executemany(_INSERT, rows)
        except sqlite3.Error as error:
            _roll_back(connection)
            return NotStored(f"the log can't write: {error}")
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            # A commit that failed may still be found in the write-ahead log after a crash.
            _roll_back(connection)
            return OutcomeUnknown(f"the log can't commit: {error}")
        self._next_ids = next_ids
        return None

    def _rows(self, group: list[_Append], next_ids: list[int]) -> list[tuple[object, ...]]:
        append_ms = self._clock_ms()
        rows: list[tuple[object, ...]] = []
        for append in group:
            headers, encoded = None, b""
            for record in append.records:
                if record.headers is not headers:
                    headers = record.headers
                    encoded = encode_headers(headers)
                partition = partition_of(record.key)
                rows.append((next_ids[partition], append_ms, record.key, record.value, encoded))
                next_ids[partition] += 1
        return rows


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
