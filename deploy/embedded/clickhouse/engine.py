"""The engine of one process: its directory, what it says of itself, and how a query is killed."""

from __future__ import annotations

import fcntl
import os
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import chdb

from deploy.embedded.clickhouse.access import CONFIG_FILE, USERS_FILE, config_xml, users_xml
from deploy.embedded.clickhouse.spool import Spool, empty_spool_directory

_LOCK_NAME = "server.lock"


class DirectoryInUseError(Exception):
    """Another process owns the directory; the message names it and what to do."""


@dataclass(frozen=True)
class Facts:
    """What answers tell of the server; ``content_types`` is by format name in lower case."""

    version: str
    timezone: str
    host: str
    content_types: dict[str, str]


class Engine:
    """Owns ``directory`` until `close`, and makes it the process's working directory.

    The engine reads its configuration and its users from there. One connection stays open, so
    that the engine and its background merges outlive every query. Everything here blocks.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory.resolve()
        self._lock = _lock(directory)
        os.chdir(self.directory)
        empty_spool_directory()
        Path(CONFIG_FILE).write_text(config_xml())
        Path(USERS_FILE).write_text(users_xml())
        self._keeper = self.connect()
        self.facts = self._ask_facts()

    def connect(self) -> Any:
        """Open one more connection, with settings and temporary tables of its own."""
        return chdb.connect(str(self.directory))  # type: ignore[no-untyped-call]

    def spool(self) -> Spool:
        """Open a new file for the data of an INSERT."""
        return Spool(uuid.uuid4().hex)

    def kill(self, token: str) -> None:
        """Cancel the query that runs under ``token``; nothing happens if none does."""
        # One of its own, since it would wait for whatever else ran on a shared one.
        with self.connect() as connection:
            connection.query(
                f"KILL QUERY WHERE position(Settings['log_comment'], '{token}') > 0 ASYNC", "Null"
            )

    def close(self) -> None:
        """Stop the engine; no other connection may be in use. Calling it again does nothing."""
        self._keeper.close()
        self._lock.close()

    def _ask_facts(self) -> Facts:
        ask = self._keeper.query
        version, timezone = ask("SELECT version(), timezone()", "TSV").bytes().decode().split()
        listing = ask("SELECT name, content_type FROM system.formats WHERE is_output", "TSVRaw")
        lines = listing.bytes().decode().splitlines()
        types = dict(line.split("\t") for line in lines)
        return Facts(
            version=version,
            timezone=timezone,
            host=socket.gethostname(),
            content_types={name.lower(): content_type for name, content_type in types.items()},
        )


def _lock(directory: Path) -> IO[bytes]:
    file = (directory / _LOCK_NAME).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise DirectoryInUseError(
            f"{directory} is in use by another embedded ClickHouse: stop that one, or give "
            "another directory with --path"
        ) from None
    return file
