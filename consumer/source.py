"""The log that the consumer reads, as far as the consumer knows it.

``consumer/kafka`` implements `Source` over Kafka, ``deploy/embedded/log`` over the embedded log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from consumer.offsets import Position
from schemas.record import LogRecord


class Assignment:
    """The partitions that a consumer reads, until it has to give them back.

    ``positions`` says where each goes on: after its last commit. A partition without a commit is
    not in it, and begins at its first record with version 0. When ``ended`` is set, what is held
    should be stored and committed soon, and `Source.release` called.
    """

    def __init__(self, positions: Mapping[int, Position]) -> None:
        self.positions = positions
        self.ended = asyncio.Event()


class Source(Protocol):
    """One consumer's view of the events' topic: the partitions that it was given."""

    @property
    def topic(self) -> str:
        """The topic's name."""
        ...

    async def open(self) -> None:
        """Join the group. Raises `consumer.errors.MustStop` for a topic that breaks the design."""
        ...

    async def next_assignment(self) -> Assignment:
        """Wait for partitions. The assignment before was released. Cancelling loses nothing.

        Raises `consumer.errors.MustStop`.
        """
        ...

    async def fetch(self, *, max_records: int, max_bytes: int, timeout_s: float) -> list[LogRecord]:
        """Give the next records, each partition's in order; none if none came in time, or if the
        assignment has ended.

        The values together may go over ``max_bytes`` by a record a partition, so that one that
        is larger than the limit does not stop everything.
        Cancelling it loses nothing. Raises `consumer.errors.Unavailable` when the log can't be
        read just now; calling again goes on where it was.
        """
        ...

    async def commit(self, positions: Mapping[int, Position]) -> None:
        """Make it durable that everything before these positions was stored.

        Raises `consumer.errors.Unavailable` (committing again is safe), or
        `consumer.errors.Revoked` when the partitions are another consumer's by now.
        """
        ...

    def release(self) -> None:
        """Say that nothing of the assignment is held any more."""
        ...

    async def close(self) -> None:
        """Leave the group. May be called twice."""
        ...
