"""The lines that were refused: all of them in a file if one is named, the first few in memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

from deploy.load.lines import Refusal

NAMED: Final = 20


class RefusedLines:
    """Counts refusals and keeps the first ``NAMED``; a context manager that closes its file.

    ``count``, ``named`` and ``kept_bytes`` come from an earlier run: what a killed run wrote to
    the file after its place was kept is cut off, for those lines will be met again. Raises
    OSError.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        count: int = 0,
        named: Iterable[Refusal] = (),
        kept_bytes: int = 0,
    ) -> None:
        self.count = count
        self.named = list(named)
        self._file: BinaryIO | None = None
        if path is not None:
            self._file = path.open("ab")
            if self._file.tell() > kept_bytes:
                self._file.truncate(kept_bytes)
                self._file.seek(kept_bytes)

    def __enter__(self) -> RefusedLines:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def file_bytes(self) -> int:
        """How long the file is now."""
        return self._file.tell() if self._file is not None else 0

    def add(self, refusals: Iterable[Refusal]) -> None:
        """Take refusals in, in the order of their lines; the file has them on return."""
        for refusal in refusals:
            self.count += 1
            if len(self.named) < NAMED:
                self.named.append(refusal)
            if self._file is not None:
                self._file.write(f"{refusal}\n".encode("utf-8", "backslashreplace"))
        if self._file is not None:
            self._file.flush()
