"""What an operator may set of the query service; each setting is an environment variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

_MAX_WINDOW_DAYS = 100 * 365


@dataclass(frozen=True, kw_only=True)
class Settings:
    """``clickhouse_url`` is ``http[s]://[user:password@]host[:port][/database]``."""

    clickhouse_url: str = "http://127.0.0.1:8123"
    connect_timeout_s: float = 3.0
    # What one query may cost; ClickHouse itself stops one that takes more.
    query_timeout_s: float = 30.0
    query_max_memory_bytes: int = 4 * 1024**3
    # How far a list goes back from its end when it is given no start.
    default_window: timedelta = timedelta(days=7)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read the variables TALLY_CLICKHOUSE_URL and TALLY_QUERY_*. Raises ValueError naming
        every wrong one.
        """
        wrong: list[str] = []

        def number(name: str, default: float, least: float) -> float:
            text = env.get(name)
            if text is None:
                return default
            try:
                value = float(text)
            except ValueError:
                value = float("nan")
            if not least <= value <= 2**62:
                wrong.append(f"{name}={text!r} must be a number of at least {least:g}")
            return value

        url = env.get("TALLY_CLICKHOUSE_URL", cls.clickhouse_url)
        if not _is_http_url(url):  # never repeated in the error: it may hold a password
            wrong.append(
                "TALLY_CLICKHOUSE_URL must look like "
                "http[s]://[user:password@]host[:port][/database]"
            )
        connect_s = number("TALLY_QUERY_CONNECT_TIMEOUT_S", cls.connect_timeout_s, 0.1)
        timeout_s = number("TALLY_QUERY_TIMEOUT_S", cls.query_timeout_s, 1)
        memory = number("TALLY_QUERY_MAX_MEMORY_BYTES", cls.query_max_memory_bytes, 1024**2)
        window_days = number("TALLY_QUERY_DEFAULT_WINDOW_DAYS", cls.default_window.days, 1 / 24)
        if window_days > _MAX_WINDOW_DAYS:
            wrong.append(f"TALLY_QUERY_DEFAULT_WINDOW_DAYS must be at most {_MAX_WINDOW_DAYS}")
        if wrong:
            raise ValueError("; ".join(wrong))
        return cls(
            clickhouse_url=url,
            connect_timeout_s=connect_s,
            query_timeout_s=timeout_s,
            query_max_memory_bytes=int(memory),
            default_window=timedelta(days=window_days),
        )


def _is_http_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # a port that is no number
        return False
