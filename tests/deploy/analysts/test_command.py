"""`tally analysts`, as installed, against the embedded ClickHouse of a data directory."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.clickhouse.store import connect, migrate
from schemas.clickhouse import ClickHouseSettings
from tests.query_api.rows import Row, Table
from tests.support.clickhouse import EmbeddedClickHouse, embedded_clickhouse
from tests.support.stack import TALLY

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedClickHouse]:
    """The ClickHouse of a stack, with the tables and events of two tenants."""
    with embedded_clickhouse(tmp_path / "tally" / "clickhouse") as running:
        asyncio.run(migrated(running.url))
        table = Table(running.url)
        table.store(Row("acme", "a1"), Row("acme", "a2"), Row("zeta", "z1"))
        table.close()
        (tmp_path / "tally" / "client.env").write_text(f"CLICKHOUSE_URL={running.url}\n")
        yield running


async def migrated(url: str) -> None:
    client = await connect(ClickHouseSettings(url=url), wait_s=10)
    await migrate(client)
    await client.close()


@pytest.fixture
def tally(tmp_path: Path) -> Run:
    """Run the command where no server is named."""
    env = {name: value for name, value in os.environ.items() if "CLICKHOUSE" not in name}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [TALLY, "analysts", *arguments],
            env={**env, "TALLY_DATA": str(tmp_path / "tally")},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def client(server: EmbeddedClickHouse, user: str, password: str) -> Any:
    return clickhouse_connect.get_client(
        host="127.0.0.1", port=server.port, username=user, password=password
    )


def test_an_analyst_made_here_reads_one_tenant(server: EmbeddedClickHouse, tally: Run) -> None:
    """The printed user and password open the view of that tenant, at once, and a restart later."""
    done = tally("create", "--tenant=acme")
    assert done.returncode == 0, done.stderr
    printed = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert (printed["user"], printed["url"]) == ("analyst_acme", server.url)
    for _ in range(2):
        with client(server, "analyst_acme", printed["password"]) as analyst:
            sql = f"SELECT event_id FROM {printed['view']} ORDER BY 1"
            assert analyst.query(sql).result_rows == [("a1",), ("a2",)]
            with pytest.raises(DatabaseError, match="ACCESS_DENIED"):
                analyst.query("SELECT * FROM default.events")
        server.stop()
        server.start()


def test_a_second_password_replaces_the_first(server: EmbeddedClickHouse, tally: Run) -> None:
    """Making a user who exists gives a new password and, if asked, another tenant."""
    first = json.loads(tally("create", "--tenant=acme", "--user=analyst_x", "--json").stdout)
    second = json.loads(tally("create", "--tenant=zeta", "--user=analyst_x", "--json").stdout)
    with pytest.raises(DatabaseError, match="AUTHENTICATION_FAILED"):
        client(server, "analyst_x", first["password"])
    with client(server, "analyst_x", second["password"]) as analyst:
        assert analyst.query("SELECT event_id FROM usage_events").result_rows == [("z1",)]


def test_analysts_are_listed_and_dropped(server: EmbeddedClickHouse, tally: Run) -> None:
    """The list tells who sees what, without passwords; who is dropped is out at once."""
    made = json.loads(tally("create", "--tenant=acme", "--json").stdout)
    listed = tally("list", "--json")
    assert json.loads(listed.stdout) == [{"user": "analyst_acme", "sees": "tenant = 'acme'"}]
    assert "analyst_acme" in tally("list").stdout
    assert tally("drop", "analyst_acme").returncode == 0
    with pytest.raises(DatabaseError, match="AUTHENTICATION_FAILED"):
        client(server, made["user"], made["password"])
    again = tally("drop", "analyst_acme")
    assert again.returncode == 1
    assert "there is no 'analyst_acme'" in again.stderr


def test_no_server_is_told_with_what_to_do(tally: Run) -> None:
    """Without a server and without a stack, one line names both ways."""
    done = tally("create", "--tenant=acme")
    assert done.returncode == 1
    assert "TALLY_CLICKHOUSE_URL" in done.stderr
    assert "tally up" in done.stderr


def test_a_stack_that_is_down_makes_nobody(server: EmbeddedClickHouse, tally: Run) -> None:
    """Where the view can't be made there is no user either."""
    server.stop()
    done = tally("create", "--tenant=acme")
    assert done.returncode == 1
    assert server.url in done.stderr
    assert json.loads(tally("list", "--json").stdout) == []


@pytest.mark.parametrize("user", ["default", "tally_reader", "analyst_a'b"])
def test_another_kind_of_user_is_refused(server: EmbeddedClickHouse, tally: Run, user: str) -> None:
    """The command makes and drops analysts only."""
    assert server.url
    for arguments in (("create", "--tenant=acme", f"--user={user}"), ("drop", user)):
        done = tally(*arguments)
        assert done.returncode == 1
        assert "begins with 'analyst_'" in done.stderr
