"""Records for tests of the log."""

from __future__ import annotations

from schemas.record import FORMAT, FORMAT_HEADER, Record

HEADERS = {FORMAT_HEADER: FORMAT, "tally-dialect": b"flexprice"}


def record(number: int, *, key: str | None = None, size_bytes: int = 0) -> Record:
    """A record whose value tells its number."""
    value = b"%d" % number + b" " * size_bytes
    return Record((key or f"t\0{number}").encode(), value, HEADERS)
