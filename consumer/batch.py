"""When a batch closes: by rows, by bytes or by age. Pure; the clock is passed in."""

from __future__ import annotations

from dataclasses import dataclass, field

from consumer.settings import Settings
from schemas.record import LogRecord


@dataclass
class Batch:
    """Records held back to be stored together, in the order in which they were fetched.

    ``opened_at`` is the monotonic second at which the first one came.
    """

    records: list[LogRecord] = field(default_factory=list)
    size_bytes: int = 0
    opened_at: float = 0.0

    def add(self, records: list[LogRecord], now: float) -> None:
        """Take in records that were fetched just now."""
        if not self.records:
            self.opened_at = now
        self.records += records
        self.size_bytes += sum(len(record.value) for record in records)

    def is_full(self, settings: Settings) -> bool:
        """Whether it should be stored without waiting for more."""
        return (
            len(self.records) >= settings.max_batch_rows
            or self.size_bytes >= settings.max_batch_bytes
        )

    def seconds_left(self, settings: Settings, now: float) -> float:
        """How long it may still wait for more records; 0 or less: store it now."""
        if not self.records:
            return settings.max_batch_age_ms / 1000
        return self.opened_at + settings.max_batch_age_ms / 1000 - now

    def rows_left(self, settings: Settings) -> int:
        """How many more records it takes."""
        return settings.max_batch_rows - len(self.records)

    def bytes_left(self, settings: Settings) -> int:
        """How many more bytes of values it takes."""
        return settings.max_batch_bytes - self.size_bytes
