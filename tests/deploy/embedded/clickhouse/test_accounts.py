"""The file of analysts, and who is let in."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.embedded.clickhouse.access import (
    DEFAULT,
    READER_ACCOUNT,
    TENANT_PLACES,
    analyst_account,
)
from deploy.embedded.clickhouse.accounts import changed_analysts, log_in, read_analysts
from deploy.embedded.clickhouse.errors import RequestError


def put(directory: Path, user: str, tenant: str, password: str) -> int:
    with changed_analysts(directory) as analysts:
        analysts.put(user, tenant, password)
        return analysts.place_of(tenant)


def test_the_services_users_need_no_password(tmp_path: Path) -> None:
    """On loopback, the owner and the query service come in by name."""
    assert log_in("", "", tmp_path) is DEFAULT
    assert log_in("default", "", tmp_path) is DEFAULT
    assert log_in("tally_reader", "", tmp_path) is READER_ACCOUNT


def test_an_analyst_has_the_place_of_the_tenant(tmp_path: Path) -> None:
    """Analysts of one tenant share its place; another tenant has another, for good."""
    assert put(tmp_path, "analyst_a", "acme", "one") == 0
    assert put(tmp_path, "analyst_b", "zeta", "two") == 1
    assert put(tmp_path, "analyst_c", "acme", "three") == 0
    assert log_in("analyst_c", "three", tmp_path) == analyst_account("analyst_c", 0)
    assert log_in("analyst_b", "two", tmp_path).home == "tally_tenant_1"


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("analyst_a", "two"),
        ("analyst_a", ""),
        ("analyst_x", ""),
        ("analyst_x", "one"),
        ("default", "one"),
        ("tally_reader", "one"),
        ("tally_tenant_0", ""),
        ("tally_admin", ""),
    ],
)
def test_anyone_else_is_refused(tmp_path: Path, user: str, password: str) -> None:
    """A wrong password and an unknown user get the same answer; roles are no users."""
    put(tmp_path, "analyst_a", "acme", "one")
    with pytest.raises(RequestError, match="Authentication failed") as refused:
        log_in(user, password, tmp_path)
    assert refused.value.code == 516


def test_no_password_is_kept(tmp_path: Path) -> None:
    """The file holds hashes, and only its owner reads it."""
    put(tmp_path, "analyst_a", "acme", "very-secret")
    file = tmp_path / "analysts.json"
    assert "very-secret" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_an_error_changes_nothing(tmp_path: Path) -> None:
    """What fails half way leaves the file as it was."""
    put(tmp_path, "analyst_a", "acme", "one")

    def fail() -> None:
        with changed_analysts(tmp_path) as analysts:
            analysts.put("analyst_b", "zeta", "two")
            raise OSError("no server")

    with pytest.raises(OSError, match="no server"):
        fail()
    assert list(read_analysts(tmp_path).users) == ["analyst_a"]


def test_more_tenants_than_places_are_refused(tmp_path: Path) -> None:
    """The last place is told from no place, in words that say what to do."""
    with changed_analysts(tmp_path) as analysts:
        for number in range(TENANT_PLACES):
            assert analysts.place_of(f"t{number}") == number
        with pytest.raises(ValueError, match="use a ClickHouse server"):
            analysts.place_of("one-more")
