"""`tally migrate` and `tally users`, as installed, against a real engine."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.clickhouse.migrations import read_migrations
from schemas.clickhouse import ClickHouseSettings
from schemas.tables import READ_SETTINGS
from tests.support.clickhouse import (
    ClickHouse,
    clickhouse_with_users,
    docker_answers,
    free_port,
)
from tests.support.stack import TALLY

Run = Callable[..., subprocess.CompletedProcess[str]]
TITLES = [migration.title for migration in read_migrations()]


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TALLY, *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def tally(settings: ClickHouseSettings) -> Run:
    """Run the command on a database that is not there yet."""

    def in_database(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        where = {"TALLY_CLICKHOUSE_URL": settings.url}
        return run(*arguments, **where, TALLY_CLICKHOUSE_DATABASE=settings.database, **env)

    return in_database


def test_it_prints_what_it_applied(tally: Run) -> None:
    """The first run names every migration, the second says that there is nothing to do."""
    done = tally("migrate")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"applied {title}" for title in TITLES]
    again = tally("migrate")
    assert (again.returncode, again.stdout) == (0, "nothing to do\n")


def test_a_dry_run_prints_sql_and_runs_none(tally: Run) -> None:
    """What would be run can be read; afterwards there is still everything to do."""
    assert tally("migrate").returncode == 0
    assert tally("migrate", "--dry-run").stdout == "nothing to do\n"


def test_a_dry_run_for_a_cluster_needs_none(server: ClickHouse) -> None:
    """The SQL for a cluster can be read on a server that is in none."""
    done = run("migrate", "--dry-run", "--cluster=prod", TALLY_CLICKHOUSE_URL=server.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ON CLUSTER `prod`") >= 5
    assert "ENGINE = Distributed('prod', 'default', events_local" in done.stdout
    assert [title for title in TITLES if f"-- {title}\n" in done.stdout] == TITLES


def test_the_database_of_the_command_line_wins(tally: Run) -> None:
    """--database goes before the environment."""
    name = f"named_{free_port()}"
    assert tally("migrate", f"--database={name}").returncode == 0
    assert tally("migrate", f"--database={name}").stdout == "nothing to do\n"
    assert tally("migrate").stdout != "nothing to do\n"


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Waiting is bounded, and the one line names the address, not the password."""
    url = f"http://me:secret@127.0.0.1:{free_port()}"
    started = time.monotonic()
    done = run("migrate", "--wait=0.5", TALLY_CLICKHOUSE_URL=url)
    assert time.monotonic() - started < 20
    assert done.returncode == 1
    assert done.stderr.startswith("tally migrate: no answer from http://127.0.0.1:")
    assert "secret" not in done.stderr


def test_a_bad_setting_is_named() -> None:
    """What is wrong in the environment is one line and status 1."""
    done = run("migrate", TALLY_CLICKHOUSE_URL="127.0.0.1:8123")
    assert done.returncode == 1
    assert done.stderr.startswith("tally migrate: TALLY_CLICKHOUSE_URL must look like")


def test_users_wait_for_the_tables(tally: Run) -> None:
    """Roles on tables that are not there would be of no use, so the text says what comes first."""
    done = tally("users", "apply")
    assert done.returncode == 1
    assert "'tally migrate'" in done.stderr


@pytest.fixture
def with_users() -> Iterator[tuple[Run, ClickHouseSettings]]:
    """A server that has users, with our tables and roles."""
    if not docker_answers():
        # Not a failure on CI either, where no engine runs: there the engine's parser reads every
        # one of these statements (test_sql.py), and the embedded server's limits are tested.
        pytest.skip("the embedded engine makes no users; where Docker answers this runs")
    with clickhouse_with_users() as server:
        settings = ClickHouseSettings(url=server.url, database="usage")

        def tally(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
            where = {"TALLY_CLICKHOUSE_URL": server.url, "TALLY_CLICKHOUSE_DATABASE": "usage"}
            return run(*arguments, **where, **env)

        assert tally("migrate").returncode == 0
        made = tally(
            "users",
            "apply",
            TALLY_CLICKHOUSE_WRITER_PASSWORD="write-it",
            TALLY_CLICKHOUSE_READER_PASSWORD="read-it",
        )
        assert made.returncode == 0, made.stderr
        yield tally, settings


def test_users_on_a_real_server(with_users: tuple[Run, ClickHouseSettings]) -> None:
    """Applied twice they are the same: the writer writes, the reader reads and can't write, an
    analyst sees one tenant through the view, and nothing else.
    """
    tally, settings = with_users
    again = tally("users", "apply", TALLY_CLICKHOUSE_READER_PASSWORD="read-it")
    assert again.returncode == 0, again.stderr

    def client(user: str, password: str) -> Any:
        options = ClickHouseSettings(
            url=settings.url, database=settings.database, user=user, password=password
        ).client_options()
        return clickhouse_connect.get_client(**options, autogenerate_session_id=False)

    with client("tally_writer", "write-it") as writer:
        rows = [[tenant, tenant, "n", "c", "2024-01-01 00:00:00", 1] for tenant in ("acme", "zeta")]
        columns = ["tenant", "event_id", "event_name", "external_customer_id", "timestamp"]
        values = ", ".join(str(tuple(row)) for row in rows)
        writer.command(f"INSERT INTO events ({', '.join(columns)}, version) VALUES {values}")
        with pytest.raises(DatabaseError, match="ACCESS_DENIED"):
            writer.command("DROP TABLE events")
    with client("tally_reader", "read-it") as reader:
        found = reader.query("SELECT count() FROM events FINAL", settings=dict(READ_SETTINGS))
        assert found.first_row == (2,)
        for sql in ("INSERT INTO events (tenant) VALUES ('x')", "TRUNCATE TABLE events"):
            with pytest.raises(DatabaseError):
                reader.command(sql)
        with pytest.raises(DatabaseError, match="SETTING_CONSTRAINT_VIOLATION"):
            reader.query("SELECT 1 SETTINGS max_execution_time = 0")
    made = tally("analysts", "create", "--tenant=acme")
    assert made.returncode == 0, made.stderr
    printed = dict(line.split(maxsplit=1) for line in made.stdout.splitlines())
    with client(printed["user"], printed["password"]) as analyst:
        assert analyst.query("SELECT DISTINCT tenant FROM usage_events").result_rows == [("acme",)]
        assert analyst.query("SELECT DISTINCT tenant FROM events").result_rows == [("acme",)]
        for sql in (
            "SELECT version FROM events",
            "SELECT * FROM event_ids",
            "SELECT * FROM url('http://127.0.0.1:1/', 'TSV', 'a String')",
            "SELECT 1 SETTINGS max_memory_usage = 0",
            "CREATE TABLE x (a Int8) ENGINE = Memory",
        ):
            with pytest.raises(DatabaseError):
                analyst.query(sql)
    assert "tenant = 'acme'" in tally("analysts", "list").stdout
    assert tally("analysts", "drop", printed["user"]).returncode == 0
    with pytest.raises(DatabaseError):
        client(printed["user"], printed["password"])
