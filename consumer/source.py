"""The log that the consumer reads, as far as the consumer knows it.

The embedded log (``deploy/embedded/log``) implements `Source`; Kafka's implementation belongs in
this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from consumer.offsets import Position
from schemas.record import LogRecord


class Source(Protocol):
    """One consumer's view of the events' topic: the partitions that it was given."""

    async def open(self) -> dict[int, Position]:
        """Join the group and give where each partition goes on: after its last commit.

        A partition without a commit begins at its first record with version 0.
        """
        ...

    async def fetch(self, *, max_records: int, max_bytes: int, timeout_s: float) -> list[LogRecord]:
        """Give the next records, each partition's in order; none if none came in time.

        The values together may go over ``max_bytes`` by a record a partition, so that one that
        is larger than the limit does not stop everything.
        Cancelling it loses nothing. Raises `consumer.errors.Unavailable` when the log can't be
        read just now; calling again goes on where it was.
        """
        ...

    async def commit(self, positions: Mapping[int, Position]) -> None:
        """Make it durable that everything before these positions was stored.

        Raises `consumer.errors.Unavailable`; committing again is safe.
        """
        ...

    async def close(self) -> None:
        """Leave the group. May be called twice."""
        ...
