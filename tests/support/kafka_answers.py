"""Asks a broker which brokers work, without a client library and without a loop."""

from __future__ import annotations

import socket

from deploy.embedded.kafka.wire import MAX_ANSWER_BYTES, SIZE, brokers, metadata_request


def brokers_at(host: str, port: int) -> frozenset[int]:
    """Give the IDs of the brokers that the one at this address lists; none if nobody answers."""
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            connection.sendall(metadata_request())
            with connection.makefile("rb") as stream:
                (size,) = SIZE.unpack(stream.read(SIZE.size).ljust(SIZE.size, b"\0"))
                return brokers(stream.read(min(max(size, 0), MAX_ANSWER_BYTES)))
    except (OSError, ValueError):
        return frozenset()
