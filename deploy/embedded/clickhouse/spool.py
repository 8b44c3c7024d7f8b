"""Where the data of an INSERT waits until all of it is there: a file in the engine's directory."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from deploy.embedded.clickhouse.errors import RequestError

SPOOL_DIRECTORY: Final = "spool"  # in the working directory, which is the engine's own


class Spool:
    """One file. Everything here blocks; no space for it is ClickHouse's code 243."""

    def __init__(self, name: str) -> None:
        self._path = Path(SPOOL_DIRECTORY) / name
        self._file = self._path.open("xb", buffering=0)

    def write(self, pieces: Iterable[bytes]) -> None:
        """Add data."""
        try:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[self._file.write(view) :]
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise RequestError(
                243, "NOT_ENOUGH_SPACE", f"No room for the data of the INSERT: {error.strerror}"
            ) from error

    def close(self) -> str:
        """End the file and give its path, as the engine finds it."""
        self._file.close()
        return str(self._path)

    def remove(self) -> None:
        """Close and delete the file. May be called twice."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def empty_spool_directory() -> None:
    """Make the directory, and delete what a process that was killed left in it."""
    directory = Path(SPOOL_DIRECTORY)
    directory.mkdir(exist_ok=True)
    for left in directory.iterdir():
        left.unlink(missing_ok=True)
