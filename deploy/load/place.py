"""How far a load has come, kept in a small file, so that the same command can go on there.

The file stands in the user's state directory, named by a hash of everything that makes a load the
same one: the input's absolute path, size and time of change, the URL, the key, and the options
that say what an event is. It exists only while a load is unfinished.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from deploy.load.lines import Refusal

_EVERY_S: Final = 1.0


class Place(msgspec.Struct):
    """Every line up to ``line`` was accepted or refused; the counts are of those lines.

    ``refused_bytes`` is how much of the file of refusals belongs to them; ``named`` are the first
    refusals. ``input`` is for whoever finds the file.
    """

    input: str
    line: int = 0
    accepted: int = 0
    refused: int = 0
    refused_bytes: int = 0
    named: list[Refusal] = []


class PlaceFile:
    """Keeps a `Place` on disk, at most once a second unless told to. Raises OSError."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._saved_at = clock()

    def read(self) -> Place | None:
        """Give the place that an unfinished load left; None for none, or one not readable."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Place)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def prepare(self) -> None:
        """Make the directory, so that a load that could not keep its place does not begin."""
        self._path.parent.mkdir(parents=True, exist_ok=True)

    def save(self, place: Place, *, now: bool = False) -> None:
        """Write the place if a second has passed since the last time, or ``now``.

        A process killed in the middle leaves the earlier place. The disk is not waited for: after
        a power failure, lines sent twice cost time and count once.
        """
        if not now and self._clock() - self._saved_at < _EVERY_S:
            return
        draft = self._path.with_suffix(f".{os.getpid()}")
        draft.write_bytes(msgspec.json.encode(place))
        draft.replace(self._path)
        self._saved_at = self._clock()

    def remove(self) -> None:
        """Forget the place: the load is finished, or begins again."""
        self._path.unlink(missing_ok=True)


def place_path(directory: Path, source: Path, *identity: str) -> Path:
    """Name the place of a load of ``source``, a file as it is now, with ``identity``."""
    status = source.stat()
    parts = (str(source.resolve()), str(status.st_size), str(status.st_mtime_ns), *identity)
    digest = hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
    return directory / f"{digest[:32]}.json"
