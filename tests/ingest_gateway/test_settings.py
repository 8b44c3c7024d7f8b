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


@pytest.mark.parametrize("name", ["MAX_BYTES_IN_FLIGHT", "MAX_BYTES_IN_FLIGHT_PER_KEY"])
def test_room_for_less_than_one_body_is_refused(name: str) -> None:
    """A body that fits its own limit would get a 503 that says "again in a second", for ever."""
    variable = f"TALLY_GATEWAY_{name}"
    with pytest.raises(ValueError, match=f"{variable}='33554431' must be .* at least 33554432"):
        Settings.from_env({variable: "33554431"})
    settings = Settings.from_env({variable: "33554432"})
    assert settings.max_bytes_in_flight_per_key == 32 * 1024 * 1024
