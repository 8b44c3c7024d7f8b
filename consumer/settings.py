"""What an operator may set of the consumer; each setting is an environment variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Settings:
    """When a batch closes, and how patient the consumer is."""

    clickhouse_url: str
    max_batch_rows: int = 50_000
    max_batch_bytes: int = 32 * 1024 * 1024
    max_batch_age_ms: int = 250  # counted from the first record that was fetched for it
    drain_timeout_s: float = 10.0  # after a stop: how long to try to finish what is held

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read TALLY_CLICKHOUSE_URL and TALLY_CONSUMER_*. Raises ValueError naming all mistakes."""
        wrong: list[str] = []

        def whole(name: str, default: int) -> int:
            text = env.get(name, str(default))
            if not text.isdecimal() or int(text) < 1:
                wrong.append(f"{name}={text!r} must be a whole number of at least 1")
                return default
            return int(text)

        url = env.get("TALLY_CLICKHOUSE_URL", "")
        if not url:
            wrong.append("TALLY_CLICKHOUSE_URL must be set, such as http://127.0.0.1:8123")
        settings = cls(
            clickhouse_url=url,
            max_batch_rows=whole("TALLY_CONSUMER_MAX_BATCH_ROWS", cls.max_batch_rows),
            max_batch_bytes=whole("TALLY_CONSUMER_MAX_BATCH_BYTES", cls.max_batch_bytes),
            max_batch_age_ms=whole("TALLY_CONSUMER_MAX_BATCH_AGE_MS", cls.max_batch_age_ms),
            drain_timeout_s=whole("TALLY_CONSUMER_DRAIN_TIMEOUT_S", int(cls.drain_timeout_s)),
        )
        if wrong:
            raise ValueError("; ".join(wrong))
        return settings
