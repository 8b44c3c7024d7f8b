"""The consumer's settings."""

from __future__ import annotations

import pytest

from consumer.settings import Settings

pytestmark = pytest.mark.unit


def test_settings_come_from_the_environment() -> None:
    """Each setting has a variable."""
    settings = Settings.from_env(
        {"TALLY_CLICKHOUSE_URL": "http://c", "TALLY_CONSUMER_MAX_BATCH_ROWS": "7"}
    )
    assert (settings.clickhouse.url, settings.max_batch_rows) == ("http://c", 7)


def test_all_wrong_settings_are_named_at_once() -> None:
    """Nobody has to start a service three times to find three mistakes."""
    env = {
        "TALLY_CLICKHOUSE_URL": "clickhouse",
        "TALLY_CONSUMER_MAX_BATCH_ROWS": "0",
        "TALLY_CONSUMER_MAX_BATCH_AGE_MS": "soon",
    }
    with pytest.raises(ValueError, match=r"URL.*ROWS.*AGE_MS"):
        Settings.from_env(env)
