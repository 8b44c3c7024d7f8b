"""How far the consumer is behind, asked of the log itself: a dead consumer can't report."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import msgspec

from deploy.embedded.log.files import LOG_DB, open_reader
from deploy.embedded.log.groups import read_commits
from deploy.embedded.log.layout import PARTITIONS, offset_of, row_id


class PartitionLag(msgspec.Struct, frozen=True):
    """``records`` not yet committed, and the age in seconds of the oldest of them."""

    partition: int
    end_offset: int
    records: int
    seconds: float


def read_lag(directory: Path) -> list[PartitionLag]:
    """Give every partition's lag. Raises sqlite3.Error if there is no log yet."""
    commits = read_commits(directory)
    lags: list[PartitionLag] = []
    with closing(open_reader(directory, LOG_DB)) as log:
        for partition in range(PARTITIONS):
            end = row_id(partition + 1, 0)
            (last,) = log.execute("SELECT max(id) FROM records WHERE id < ?", (end,)).fetchone()
            first = row_id(partition, 0)
            end_offset = 0 if last is None or last < first else offset_of(last) + 1
            committed = commits[partition].next_offset if partition in commits else 0
            oldest = log.execute(
                "SELECT append_ms FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT 1",
                (row_id(partition, committed), end),
            ).fetchone()
            seconds = 0.0 if oldest is None else max(0.0, time.time() - oldest[0] / 1000)
            lags.append(PartitionLag(partition, end_offset, end_offset - committed, seconds))
    return lags
