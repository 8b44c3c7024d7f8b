"""The topic of API keys as the command line writes it: the interface, and the embedded log's."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Protocol

from deploy.embedded.log.key_uses import read_uses
from deploy.embedded.log.keys import append_key, read_keys
from schemas.keys import KeyRecord


class KeysUnavailable(Exception):  # noqa: N818 (names the condition, not a failure)
    """The keys can't be read or written; the text is for the user."""


class KeysTopic(Protocol):
    """The compacted topic of one log. Every call raises `KeysUnavailable`."""

    async def append(self, record: KeyRecord) -> KeyRecord:
        """Append a record, which replaces the earlier one of its key but for a revocation; durable
        when it returns. Gives the record as it stands.
        """
        ...

    async def read(self) -> list[KeyRecord]:
        """Give every key's record as it stands, in the order of appending."""
        ...

    async def last_uses(self) -> dict[str, float]:
        """Give the Unix time of last use by key ID, of those that were ever used."""
        ...


class EmbeddedKeys:
    """A `KeysTopic` over the embedded log in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def append(self, record: KeyRecord) -> KeyRecord:
        """See `KeysTopic.append`."""
        try:
            return append_key(self._directory, record)
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error

    async def read(self) -> list[KeyRecord]:
        """See `KeysTopic.read`."""
        try:
            return read_keys(self._directory)
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error

    async def last_uses(self) -> dict[str, float]:
        """See `KeysTopic.last_uses`."""
        return read_uses(self._directory)

    def _failed(self, error: Exception) -> KeysUnavailable:
        return KeysUnavailable(f"the API keys in {self._directory} can't be used: {error}")
