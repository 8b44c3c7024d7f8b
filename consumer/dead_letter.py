"""Where records go that can't be stored. Kafka's implementation belongs in this file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from schemas.record import LogRecord


class DeadLetter(NamedTuple):
    """A record as it came, the version it had, and why it is here."""

    record: LogRecord
    version: int
    reason: str


class DeadLetters(Protocol):
    """The dead-letter topic."""

    async def append(self, letters: Sequence[DeadLetter]) -> None:
        """Keep the letters; durable when it returns. Raises `consumer.errors.Unavailable`."""
        ...
