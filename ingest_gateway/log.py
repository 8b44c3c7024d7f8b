"""The log that the gateway appends to, as far as the gateway knows it.

The embedded log (``deploy/embedded/log``) implements `EventLog`; Kafka's implementation belongs
in this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from schemas.record import Record


class NotStored(Exception):  # noqa: N818 (named by what the sender may rely on)
    """The log refused the records: none of them will ever be in it. Sending again is safe."""


class OutcomeUnknown(Exception):  # noqa: N818
    """The log was handed the records and did not say what became of them: they may land at any
    later time, and count as appended then.
    """


class EventLog(Protocol):
    """Where accepted events go. One for a process; used by many requests at once."""

    async def append(self, records: Sequence[Record], *, timeout_s: float) -> None:
        """Append the records, in this order for each key; durable when it returns.

        Raises `NotStored` or `OutcomeUnknown`, at the latest when ``timeout_s`` seconds have
        passed. A caller that is cancelled leaves the outcome unknown.
        """
        ...

    def trouble(self) -> str | None:
        """Say in a few words why appending fails just now, or None if it works."""
        ...
