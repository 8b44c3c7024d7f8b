"""Deleting records that the consumer has committed and that are old."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Final

from deploy.embedded.log.groups import read_commits
from deploy.embedded.log.layout import row_id

_log = logging.getLogger(__name__)

RETENTION_MS: Final = 7 * 24 * 3600 * 1000
_MAX_ROWS_AT_ONCE: Final = 2_000  # an append waits no longer than for these

_OLDEST: Final = "SELECT id, append_ms FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
_LAST: Final = "SELECT max(id) FROM records WHERE id < ?"


def delete_expired(connection: sqlite3.Connection, directory: Path, now_ms: int) -> bool:
    """Delete a bounded number of expired records; tell whether there may be more of them.

    A partition that has many ends the call: the others' turn comes with the next one. It reads no
    further than the first record that has not expired. The newest record of a
    partition always stays, since it says what the next offset is. A failure is logged: it costs
    disk, not events.
    """
    try:
        return any(
            _delete_of_partition(connection, partition, commit.next_offset, now_ms)
            for partition, commit in read_commits(directory).items()
        )
    except sqlite3.Error as error:
        _log.warning("could not delete expired records: %s", error)
        return False


def _delete_of_partition(
    connection: sqlite3.Connection, partition: int, committed: int, now_ms: int
) -> bool:
    first = row_id(partition, 0)
    (newest,) = connection.execute(_LAST, (row_id(partition + 1, 0),)).fetchone()
    end = min(row_id(partition, committed), newest if newest is not None else first)
    expired_to: int | None = None
    count = 0
    for row, append_ms in connection.execute(_OLDEST, (first, end, _MAX_ROWS_AT_ONCE)):
        if append_ms >= now_ms - RETENTION_MS:
            break
        expired_to = row
        count += 1
    if expired_to is not None:
        connection.execute("DELETE FROM records WHERE id >= ? AND id <= ?", (first, expired_to))
    return count == _MAX_ROWS_AT_ONCE
