"""What an operator may set of the consumer; each setting is an environment variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from schemas.clickhouse import ClickHouseSettings
from schemas.settings import Variables

_MAX_DRAIN_S: Final = 50  # a group waits a minute for a consumer that gives its partitions back


@dataclass(frozen=True, kw_only=True)
class Settings:
    """When a batch closes, how patient the consumer is, and when it gives up on a topic.

    It stops when ``max_dead_letter_run`` records in a row, or more than ``max_dead_letter_ratio``
    of many, could not be stored: then not the records are at fault.
    """

    clickhouse: ClickHouseSettings = field(default_factory=ClickHouseSettings)
    max_batch_rows: int = 50_000
    max_batch_bytes: int = 32 * 1024 * 1024
    max_batch_age_ms: int = 250  # counted from the first record that was fetched for it
    drain_timeout_s: float = 10.0  # after a stop: how long to try to finish what is held
    max_dead_letter_run: int = 100
    max_dead_letter_ratio: float = 0.1

    @classmethod
    def read(cls, variables: Variables) -> Settings:
        """Read TALLY_CLICKHOUSE_* and TALLY_CONSUMER_*; mistakes are noted in ``variables``."""
        return cls(
            clickhouse=ClickHouseSettings.read(variables),
            max_batch_rows=variables.whole("TALLY_CONSUMER_MAX_BATCH_ROWS", cls.max_batch_rows),
            max_batch_bytes=variables.whole("TALLY_CONSUMER_MAX_BATCH_BYTES", cls.max_batch_bytes),
            max_batch_age_ms=variables.whole(
                "TALLY_CONSUMER_MAX_BATCH_AGE_MS", cls.max_batch_age_ms
            ),
            drain_timeout_s=variables.number(
                "TALLY_CONSUMER_DRAIN_TIMEOUT_S", cls.drain_timeout_s, 0.1, _MAX_DRAIN_S
            ),
            max_dead_letter_run=variables.whole(
                "TALLY_CONSUMER_MAX_DEAD_LETTER_RUN", cls.max_dead_letter_run
            ),
            max_dead_letter_ratio=variables.number(
                "TALLY_CONSUMER_MAX_DEAD_LETTER_RATIO", cls.max_dead_letter_ratio, 0, 1
            ),
        )

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read TALLY_CLICKHOUSE_* and TALLY_CONSUMER_*. Raises ValueError naming all mistakes."""
        variables = Variables(env)
        settings = cls.read(variables)
        variables.check()
        return settings
