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


def test_the_log_is_the_embedded_one_unless_kafka_is_asked_for() -> None:
    """An address may come with the flag or from the environment; without one, it is a broker of
    the stack's own.
    """
    address = {"TALLY_KAFKA_BOOTSTRAP_SERVERS": "a:1,b:2"}
    assert UpSettings.from_env({}).kafka is None
    for env, flag, expected in (
        ({}, "", ""),
        ({}, "c:3", "c:3"),
        (address, "", "a:1,b:2"),
        (address, "c:3", "c:3"),
    ):
        kafka = UpSettings.from_env({**env, "TALLY_KAFKA_TOPIC_PREFIX": "p"}, kafka=flag).kafka
        assert kafka is not None
        assert (kafka.bootstrap_servers, kafka.topic_prefix) == (expected, "p")


@pytest.mark.parametrize(
    ("env", "flag", "named"),
    [
        ({}, "nonsense", "TALLY_KAFKA_BOOTSTRAP_SERVERS='nonsense'"),
        ({"TALLY_KAFKA_TOPIC_PREFIX": "a b"}, "", "TALLY_KAFKA_TOPIC_PREFIX='a b'"),
        ({"TALLY_KAFKA_BOOTSTRAP_SERVERS": "a:1"}, None, "give --kafka"),
    ],
)
def test_a_log_that_cannot_be_is_named(env: dict[str, str], flag: str | None, named: str) -> None:
    """That includes an address without the flag: the other commands would look there."""
    with pytest.raises(ValueError, match=named):
        UpSettings.from_env(env, kafka=flag)
