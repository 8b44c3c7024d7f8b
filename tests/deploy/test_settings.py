"""What `tally up` takes from the environment."""

from __future__ import annotations

import pytest

from deploy.settings import UpSettings

pytestmark = pytest.mark.unit


def test_defaults_and_an_empty_variable() -> None:
    """Without variables, or with empty ones, it is port 8080 on loopback."""
    for env in ({}, {"TALLY_PORT": "", "TALLY_HOST": ""}):
        settings = UpSettings.from_env(env)
        assert (settings.host, settings.port) == ("127.0.0.1", 8080)


def test_every_address_is_reached_by_loopback() -> None:
    """A server that listens everywhere is still told apart from its address."""
    settings = UpSettings.from_env(
        {"TALLY_HOST": "0.0.0.0", "TALLY_PORT": "81", "TALLY_DATA": "/d"}
    )
    assert (settings.base_url, str(settings.data)) == ("http://127.0.0.1:81", "/d")


@pytest.mark.parametrize("port", ["0", "65536", "http", "80.5", "-1"])
def test_a_port_that_cannot_be_is_named(port: str) -> None:
    """The error names the variable and what it may be."""
    with pytest.raises(ValueError, match=f"TALLY_PORT='{port}'"):
        UpSettings.from_env({"TALLY_PORT": port})
