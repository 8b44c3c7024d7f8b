"""What a broker is asked without a client library: which brokers work.

Kafka's protocol, request Metadata in version 1, which every broker answers. Bytes in, bytes out.
"""

from __future__ import annotations

import struct
from typing import Final

_METADATA: Final = 3
_VERSION: Final = 1
_CORRELATION: Final = 1
_CLIENT_ID: Final = b"tally"
SIZE: Final = struct.Struct(">i")  # stands before each request and each answer
# Far above what a few brokers need; another program on the port may say anything.
MAX_ANSWER_BYTES: Final = 1 << 20


def metadata_request() -> bytes:
    """Ask for the brokers, and for no topic; with its size before it."""
    header = struct.pack(">hhih", _METADATA, _VERSION, _CORRELATION, len(_CLIENT_ID))
    request = header + _CLIENT_ID + struct.pack(">i", 0)
    return SIZE.pack(len(request)) + request


def brokers(answer: bytes) -> frozenset[int]:
    """Give the IDs of the brokers that work, from an answer without its size.

    A broker that has just started is listed once it has caught up. Raises ValueError for what is
    no answer of Kafka's.
    """
    try:
        correlation, count = struct.unpack_from(">ii", answer)
        if correlation != _CORRELATION:
            raise ValueError(f"an answer to request {correlation}, not {_CORRELATION}")
        at, found = 8, set()
        for _ in range(count):
            node_id, host_bytes = struct.unpack_from(">ih", answer, at)
            at += 6 + max(host_bytes, 0) + 4
            (rack_bytes,) = struct.unpack_from(">h", answer, at)
            at += 2 + max(rack_bytes, 0)
            found.add(node_id)
        struct.unpack_from(">i", answer, at)  # the controller stands after the last of them
    except struct.error as error:
        raise ValueError(f"no answer of Kafka's: {error}") from None
    return frozenset(found)
