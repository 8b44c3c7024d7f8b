"""Where records go that can't be stored, as far as the consumer knows it.

``consumer/kafka`` and ``deploy/embedded/log`` implement `DeadLetters`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from schemas.dead_letters import DeadLetter


class DeadLetters(Protocol):
    """The dead-letter topic."""

    async def append(self, letters: Sequence[DeadLetter]) -> None:
        """Keep the letters; durable when it returns. A letter that is there already stays one.

        Raises `consumer.errors.Unavailable`, or `consumer.errors.MustStop` if a letter can never
        be kept.
        """
        ...
