"""The gateway's settings."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ingest_gateway.settings import Settings

pytestmark = pytest.mark.unit


def test_settings_come_from_the_environment() -> None:
    """Each setting has a variable, and none is needed."""
    assert Settings.from_env({}) == Settings()
    settings = Settings.from_env({"TALLY_GATEWAY_MAX_EVENT_AGE_DAYS": "3"})
    assert settings.max_event_age == timedelta(days=3)


def test_all_wrong_settings_are_named_at_once() -> None:
    """Nobody has to start a service three times to find three mistakes."""
    env = {
        "TALLY_GATEWAY_APPEND_TIMEOUT_S": "soon",
        "TALLY_GATEWAY_MAX_BYTES_IN_FLIGHT": "-1",
        "TALLY_GATEWAY_MAX_EVENT_AHEAD_DAYS": "nan",
    }
    with pytest.raises(ValueError, match=r"IN_FLIGHT.*TIMEOUT_S.*AHEAD_DAYS"):
        Settings.from_env(env)
