"""What an operator may set of the query service; each setting is an environment variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from schemas.clickhouse import ClickHouseSettings
from schemas.settings import Variables

_MAX_WINDOW_DAYS = 100 * 365


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the service listens, how ClickHouse is reached, and what a query may cost."""

    host: str = "127.0.0.1"
    port: int = 8082
    clickhouse: ClickHouseSettings = field(default_factory=ClickHouseSettings)
    head_timeout_s: float = 10.0  # from a request's first byte to the end of its head
    keepalive_timeout_s: float = 75.0  # longer than the 60 s of common proxies
    connect_timeout_s: float = 3.0
    # What one query may cost; ClickHouse itself stops one that takes more.
    query_timeout_s: float = 30.0
    query_max_memory_bytes: int = 4 * 1024**3
    # How far a list goes back from its end when it is given no start.
    default_window: timedelta = timedelta(days=7)

    @classmethod
    def read(cls, variables: Variables) -> Settings:
        """Read TALLY_CLICKHOUSE_* and TALLY_QUERY_*; the mistakes are noted in ``variables``."""
        number = variables.number
        clickhouse = ClickHouseSettings.read(variables)
        head_s = number("TALLY_QUERY_HEAD_TIMEOUT_S", cls.head_timeout_s, 0.1)
        keepalive_s = number("TALLY_QUERY_KEEPALIVE_TIMEOUT_S", cls.keepalive_timeout_s, 0.1)
        connect_s = number("TALLY_QUERY_CONNECT_TIMEOUT_S", cls.connect_timeout_s, 0.1)
        timeout_s = number("TALLY_QUERY_TIMEOUT_S", cls.query_timeout_s, 1)
        memory = number("TALLY_QUERY_MAX_MEMORY_BYTES", cls.query_max_memory_bytes, 1024**2)
        window_days = number(
            "TALLY_QUERY_DEFAULT_WINDOW_DAYS", cls.default_window.days, 1 / 24, _MAX_WINDOW_DAYS
        )
        return cls(
            host=variables.text("TALLY_QUERY_HOST", cls.host),
            port=variables.whole("TALLY_QUERY_PORT", cls.port, 1, 65535),
            clickhouse=clickhouse,
            head_timeout_s=head_s,
            keepalive_timeout_s=keepalive_s,
            connect_timeout_s=connect_s,
            query_timeout_s=timeout_s,
            query_max_memory_bytes=int(memory),
            default_window=timedelta(days=window_days),
        )

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read the variables TALLY_CLICKHOUSE_* and TALLY_QUERY_*. Raises ValueError naming
        every wrong one.
        """
        variables = Variables(env)
        settings = cls.read(variables)
        variables.check()
        return settings
