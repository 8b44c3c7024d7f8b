"""The files of the embedded log, and the rules by which processes share them.

``log.db`` and ``groups.db`` each have one process that writes and checkpoints them, held by a lock
file; all others open them read-only and never checkpoint. So nobody can hold up an append, and two
connections never reset a write-ahead log at once, which SQLite before 3.51.3 does not survive.
The others have a rollback journal, so that any process may write them.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

LOG_DB: Final = "log.db"  # the gateway writes: every event
GROUPS_DB: Final = "groups.db"  # the consumer writes: how far it is
DEAD_LETTERS_DB: Final = "dead_letters.db"  # anybody writes: what could not be stored
KEYS_DB: Final = "keys.db"  # anybody writes: the API keys

_WRITER_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # every commit is on the disk before it is acknowledged
    "PRAGMA fullfsync=1",  # macOS: through the drive's cache as well
    "PRAGMA wal_autocheckpoint=4000",
)


class AlreadyOpen(Exception):  # noqa: N818 (names the condition, not a failure)
    """Another process holds the lock of the database that this one would write."""


class Writer:
    """The one writing connection to a database, and the lock that makes it the only one.

    Raises AlreadyOpen if another process has it, sqlite3.Error or OSError if it can't be opened.
    """

    def __init__(self, directory: Path, name: str, ddl: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = lock(directory / f"{name}.lock")
        path = directory / name
        # One thread at a time uses it, not always the same one.
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in _WRITER_PRAGMAS:
            self.connection.execute(pragma)
        self.connection.executescript(ddl)

    def close(self) -> None:
        """Close the connection, then let go of the lock. May be called twice."""
        self.connection.close()
        self._lock.close()


def open_reader(directory: Path, name: str) -> sqlite3.Connection:
    """Open a database that another process writes. Raises sqlite3.OperationalError if the writer
    has not made it yet.
    """
    uri = f"file:{quote(str(directory / name))}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    return connection


def data_version(connection: sqlite3.Connection) -> int:
    """Give a number that changes when another connection commits; costs microseconds."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


class LockFile:
    """A lock that is held."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def close(self) -> None:
        """Let go. May be called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def lock(path: Path) -> LockFile:
    """Take the lock that a file stands for, until it is closed. Raises AlreadyOpen."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AlreadyOpen(f"another process holds {path}; stop it first") from None
    return LockFile(descriptor)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock that a file stands for. Takes it for an instant."""
    try:
        lock(path).close()
    except AlreadyOpen:
        return True
    except FileNotFoundError:
        pass  # nobody ever held it
    return False
