"""Which answers can be streamed block by block, though the engine formats each block on its own.

Rows without a header concatenate. Rows with a header do once the header is cut from every block
but the first. Anything with a beginning and an end (JSON, Parquet, Pretty) does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_ROWS = frozenset(
    {
        "native",
        "rowbinary",
        "tskv",
        "lineasstring",
        "msgpack",
        "csv",
        "null",
        *("tabseparated", "tsv", "tabseparatedraw", "tsvraw", "raw"),
        *("jsoneachrow", "jsonlines", "ndjson", "jsonl", "jsonstringseachrow"),
        *("jsoncompacteachrow", "jsoncompactstringseachrow"),
    }
)
_TEXT_ROWS_WITH_HEADER = frozenset(
    {
        *("csv", "tabseparated", "tsv", "tabseparatedraw", "tsvraw", "raw"),
        *("jsoncompacteachrow", "jsoncompactstringseachrow"),
    }
)
_CSV_LINE = re.compile(rb'(?:[^"\n]|"(?:[^"]|"")*")*\n')
_OTHER_LINE = re.compile(rb"[^\n]*\n")

Cut = Callable[[bytes], int]


class Joiner:
    """Joins the blocks of one streamed answer."""

    def __init__(self, header_size: Cut | None) -> None:
        self._header_size = header_size
        self._first = True

    @property
    def has_header(self) -> bool:
        """Whether an answer without rows still has a header, which streaming does not give."""
        return self._header_size is not None

    def join(self, block: bytes) -> bytes:
        """Give what of ``block`` belongs into the answer."""
        if self._first or self._header_size is None:
            self._first = False
            return block
        return block[self._header_size(block) :]


def joiner(name: str) -> Joiner | None:
    """Give what joins the blocks of the named format, or None if they can't be joined."""
    lower = name.lower()
    if lower in _ROWS:
        return Joiner(None)
    lines = 2 if lower.endswith("withnamesandtypes") else 1
    base = lower.removesuffix("andtypes").removesuffix("withnames")
    if base == lower:
        return None
    if base == "rowbinary":
        return Joiner(lambda block: _row_binary_header(block, lines))
    if base in _TEXT_ROWS_WITH_HEADER:
        line = _CSV_LINE if base == "csv" else _OTHER_LINE
        return Joiner(lambda block: _text_header(block, line, lines))
    return None


def is_array_of_rows(name: str, block: bytes) -> bool:
    """Whether a setting made the engine wrap the rows of this block in one array."""
    return block.startswith(b"[\n") and name.lower() in (
        *("jsoneachrow", "jsonlines", "ndjson", "jsonl", "jsonstringseachrow"),
    )


def _text_header(block: bytes, line: re.Pattern[bytes], lines: int) -> int:
    at = 0
    for _ in range(lines):
        found = line.match(block, at)
        at = found.end() if found else at
    return at


def _row_binary_header(block: bytes, lines: int) -> int:
    columns, at = _leb128(block, 0)
    for _ in range(columns * lines):
        size, at = _leb128(block, at)
        at += size
    return at


def _leb128(block: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = block[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
