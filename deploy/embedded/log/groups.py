"""``groups.db``: how far the consumer is in each partition, and what it wrote beside that."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from deploy.embedded.log.files import GROUPS_DB, Writer, open_reader

_GROUP: Final = "tally"  # the only one that reads here
_DDL: Final = """
CREATE TABLE IF NOT EXISTS commits (
    consumer_group TEXT NOT NULL,
    partition      INTEGER NOT NULL,
    next_offset    INTEGER NOT NULL,
    metadata       TEXT NOT NULL,
    PRIMARY KEY (consumer_group, partition)
) WITHOUT ROWID;
"""
_READ: Final = "SELECT partition, next_offset, metadata FROM commits WHERE consumer_group = ?"


class Commit(NamedTuple):
    """The offset that a group reads next, and the text it committed with it."""

    next_offset: int
    metadata: str


class GroupsWriter:
    """The consumer's hold on ``groups.db``: while it lives, no other consumer can start.

    Raises AlreadyOpen if one runs already.
    """

    def __init__(self, directory: Path) -> None:
        self._writer = Writer(directory, GROUPS_DB, _DDL)

    def read(self) -> dict[int, Commit]:
        """Give the group's commits by partition."""
        return _read(self._writer.connection)

    def commit(self, commits: Mapping[int, Commit]) -> None:
        """Write commits, all or none; durable when it returns. Raises sqlite3.Error."""
        rows = [(_GROUP, partition, *commit) for partition, commit in commits.items()]
        with self._writer.connection as connection:
            connection.execute("BEGIN")
            connection.executemany("REPLACE INTO commits VALUES (?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Let the next consumer have it. May be called twice."""
        self._writer.close()


def read_commits(directory: Path) -> dict[int, Commit]:
    """Give the group's commits as another process sees them; none before a consumer ever ran.

    Raises sqlite3.Error.
    """
    if not (directory / GROUPS_DB).exists():
        return {}
    with closing(open_reader(directory, GROUPS_DB)) as connection:
        return _read(connection)


def _read(connection: sqlite3.Connection) -> dict[int, Commit]:
    rows = connection.execute(_READ, (_GROUP,))
    return {partition: Commit(next_offset, metadata) for partition, next_offset, metadata in rows}
