"""The numbered SQL files beside this one, as statements."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple


class Migration(NamedTuple):
    """One file: applied whole, once, in the order of the numbers."""

    number: int
    name: str
    statements: tuple[str, ...]


def read_migrations(directory: Path = Path(__file__).parent) -> list[Migration]:
    """Read the files ``NNNN_name.sql`` in order. A ';' ends a statement at the end of a line."""
    return [_read(path) for path in sorted(directory.glob("[0-9][0-9][0-9][0-9]_*.sql"))]


def _read(path: Path) -> Migration:
    number, _, name = path.stem.partition("_")
    without_comments = re.sub(r"^\s*--.*$", "", path.read_text(), flags=re.MULTILINE)
    parts = re.split(r";\s*$", without_comments, flags=re.MULTILINE)
    statements = tuple(part.strip() for part in parts if part.strip())
    return Migration(int(number), name, statements)
