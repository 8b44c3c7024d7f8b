"""Which partition a key belongs to: Kafka's own rule, so that every producer agrees. Pure."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

_M: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C
_MASK: Final = 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Give the partition, as the Java client's default partitioner does."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(key: bytes) -> int:
    """Give the 32 bits of `org.apache.kafka.common.utils.Utils.murmur2`, unsigned."""
    length = len(key)
    hashed = _SEED ^ length
    words, rest = divmod(length, 4)
    for word in _words(words).unpack_from(key):
        mixed = word * _M & _MASK
        hashed = (hashed * _M ^ (mixed ^ mixed >> 24) * _M) & _MASK
    if rest:
        hashed = (hashed ^ int.from_bytes(key[length - rest :], "little")) * _M & _MASK
    hashed = (hashed ^ hashed >> 13) * _M & _MASK
    return hashed ^ hashed >> 15


@lru_cache(maxsize=1024)
def _words(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}I")
