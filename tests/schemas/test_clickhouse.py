"""How ClickHouse is reached, as the environment says it."""

from __future__ import annotations

import pytest

from schemas.clickhouse import ClickHouseSettings

pytestmark = pytest.mark.unit


def test_the_url_says_all_unless_a_variable_does() -> None:
    """User, password and database may stand in the URL; a variable of their own goes before."""
    url = "https://me:p%40ss@ch.example/usage"
    options = ClickHouseSettings.from_env({"TALLY_CLICKHOUSE_URL": url}).client_options()
    assert options == {
        "interface": "https",
        "host": "ch.example",
        "port": 8443,
        "username": "me",
        "password": "p@ss",
        "database": "usage",
    }
    env = {
        "TALLY_CLICKHOUSE_URL": url,
        "TALLY_CLICKHOUSE_USER": "you",
        "TALLY_CLICKHOUSE_PASSWORD": "other",
        "TALLY_CLICKHOUSE_DATABASE": "elsewhere",
    }
    options = ClickHouseSettings.from_env(env).client_options()
    found = options["username"], options["password"], options["database"]
    assert found == ("you", "other", "elsewhere")


def test_nothing_set_is_a_server_on_this_machine() -> None:
    """The defaults are those of a ClickHouse just installed."""
    options = ClickHouseSettings.from_env({}).client_options()
    assert (options["host"], options["port"]) == ("127.0.0.1", 8123)
    assert (options["username"], options["password"], options["database"]) == ("default", "", None)


def test_every_mistake_is_told_and_no_password() -> None:
    """All that is wrong is told at once, without the URL, which may hold a password."""
    env = {
        "TALLY_CLICKHOUSE_URL": "ftp://me:secret@host",
        "TALLY_CLICKHOUSE_INSERT_QUORUM": "all",
        "TALLY_CLICKHOUSE_CA_FILE": "/nowhere.pem",
    }
    with pytest.raises(ValueError, match="TALLY_CLICKHOUSE_URL") as failed:
        ClickHouseSettings.from_env(env)
    text = str(failed.value)
    assert "TALLY_CLICKHOUSE_INSERT_QUORUM='all'" in text
    assert "TALLY_CLICKHOUSE_CA_FILE" in text
    assert "secret" not in text


def test_one_server_gets_no_settings_of_replicas() -> None:
    """Without replicas nothing is waited for."""
    assert ClickHouseSettings.from_env({}).insert_settings() == {}


def test_a_quorum_is_sent_with_what_makes_it_hold() -> None:
    """An insert is answered when that many replicas have it, through a Distributed table too, and
    a block that is sent again is never taken for one that has arrived.
    """
    settings = ClickHouseSettings.from_env({"TALLY_CLICKHOUSE_INSERT_QUORUM": "2"})
    sent = settings.insert_settings()
    assert sent["insert_quorum"] == "2"
    assert sent["insert_quorum_parallel"] == "1"
    assert sent["distributed_foreground_insert"] == "1"
    assert sent["insert_deduplicate"] == "0"
