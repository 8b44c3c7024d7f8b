"""How a record lies in ``log.db``: its partition, its row ID, its headers.

The row ID holds partition and offset in one integer, so that appending is SQLite's fastest kind
of insert and a partition is one range of the table.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final

import msgspec

EVENTS_TOPIC: Final = "tally.events"
PARTITIONS: Final = 4  # never changes for a directory: one consumer reads them all
RETURNED_PARTITION: Final = PARTITIONS  # what came back from the dead letters; not in log.db

_OFFSET_BITS: Final = 48

RECORDS_DDL: Final = """
CREATE TABLE IF NOT EXISTS records (
    id        INTEGER PRIMARY KEY,
    append_ms INTEGER NOT NULL,
    key       BLOB NOT NULL,
    value     BLOB NOT NULL,
    headers   BLOB NOT NULL
);
"""


def row_id(partition: int, offset: int) -> int:
    """Give the row ID of a record; a partition's rows end before ``row_id(partition + 1, 0)``."""
    return (partition << _OFFSET_BITS) + offset


def offset_of(row: int) -> int:
    """Give the offset in a row ID."""
    return row & ((1 << _OFFSET_BITS) - 1)


def partition_of(key: bytes) -> int:
    """Give the partition that holds every record of a key."""
    return zlib.crc32(key) % PARTITIONS


def encode_headers(headers: Mapping[str, bytes]) -> bytes:
    """Write a record's headers as a row holds them."""
    return msgspec.msgpack.encode(headers)


_headers = msgspec.msgpack.Decoder(dict[str, bytes])


def decode_headers(encoded: bytes) -> dict[str, bytes]:
    """Read what `encode_headers` wrote."""
    return _headers.decode(encoded)
