from __future__ import annotations

from datetime import timedelta

import pytest

from query_api.settings import Settings
from schemas.clickhouse import ClickHouseSettings

pytestmark = pytest.mark.unit


def test_an_empty_environment_gives_the_defaults() -> None:
    """Nothing has to be set."""
    assert Settings.from_env({}) == Settings()
    assert Settings().default_window == timedelta(days=7)


def test_reads_each_variable() -> None:
    """Every setting has a variable, in the unit that its name says."""
    settings = Settings.from_env(
        {
            "TALLY_CLICKHOUSE_URL": "https://reader:secret@ch:8443/tally",
            "TALLY_QUERY_CONNECT_TIMEOUT_S": "1.5",
            "TALLY_QUERY_TIMEOUT_S": "10",
            "TALLY_QUERY_MAX_MEMORY_BYTES": "2e9",
            "TALLY_QUERY_DEFAULT_WINDOW_DAYS": "0.5",
        }
    )
    assert settings == Settings(
        clickhouse=ClickHouseSettings(url="https://reader:secret@ch:8443/tally"),
        connect_timeout_s=1.5,
        query_timeout_s=10,
        query_max_memory_bytes=2_000_000_000,
        default_window=timedelta(hours=12),
    )


def test_names_every_wrong_variable_at_once() -> None:
    """All that is wrong is told together, and a password is not repeated."""
    with pytest.raises(ValueError, match="TALLY_") as caught:
        Settings.from_env(
            {
                "TALLY_CLICKHOUSE_URL": "clickhouse://reader:hunter2@ch",
                "TALLY_QUERY_CONNECT_TIMEOUT_S": "soon",
                "TALLY_QUERY_TIMEOUT_S": "nan",
                "TALLY_QUERY_MAX_MEMORY_BYTES": "0",
                "TALLY_QUERY_DEFAULT_WINDOW_DAYS": "1e9",
            }
        )
    text = str(caught.value)
    for name in ("CLICKHOUSE_URL", "CONNECT_TIMEOUT_S", "QUERY_TIMEOUT_S", "MEMORY", "WINDOW"):
        assert name in text
    assert "hunter2" not in text
    assert "1e9" not in text.split("WINDOW_DAYS")[0]


@pytest.mark.parametrize("url", ["http://", "http://host:99999", "host:8123", "http://h:port"])
def test_refuses_an_address_that_is_none(url: str) -> None:
    """An address without scheme, host or possible port is told at start, not at the first query."""
    with pytest.raises(ValueError, match="TALLY_CLICKHOUSE_URL"):
        Settings.from_env({"TALLY_CLICKHOUSE_URL": url})
