"""The partition of a key is the one that every other producer's default would choose."""

from __future__ import annotations

import pytest

from ingest_gateway.partitioner import murmur2, partition_of

pytestmark = pytest.mark.unit

# From Kafka's own Java client, 4.1.0: Utils.murmur2 (signed) and the partition of 12.
JAVA = [
    (b"", 275646681, 9),
    (b"a", -1563381124, 4),
    (b"ab", 316155434, 2),
    (b"abc", 479470107, 3),
    (b"abcd", -1323649548, 8),
    (b"acme\0x", -669245341, 7),
    (b"acme\0evt_01HZX", -302777490, 2),
    ("t\0é\N{ROCKET}".encode(), -81053099, 9),
    (b"tenant-7\0" + b"\xff" * 9, -693009454, 10),
]


@pytest.mark.parametrize(("key", "hashed", "partition"), JAVA)
def test_it_is_the_java_clients(key: bytes, hashed: int, partition: int) -> None:
    """Hash and partition are the Java client's, for every length modulo four and any bytes."""
    assert murmur2(key) == hashed % 2**32
    assert partition_of(key, 12) == partition


def test_every_partition_is_used_alike() -> None:
    """Of many keys each partition gets about its share."""
    counts = [0] * 12
    for number in range(12_000):
        counts[partition_of(b"acme\0evt_%d" % number, 12)] += 1
    assert min(counts) > 850
    assert max(counts) < 1150
