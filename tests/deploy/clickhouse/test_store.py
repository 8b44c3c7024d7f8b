"""ClickHouse as deployment uses it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from deploy.clickhouse.migrations import read_migrations
from deploy.clickhouse.store import (
    CannotMigrate,
    OtherTables,
    TooOld,
    Unreachable,
    connect,
    connected,
    count_events,
    migrate,
    planned_sql,
    run,
)
from schemas.clickhouse import ClickHouseSettings
from tests.support.clickhouse import ClickHouse, embedded_clickhouse, free_port

ALL = [migration.title for migration in read_migrations()]
STATEMENTS = [statement.sql for each in read_migrations() for statement in each.statements]


async def names(client: Any) -> list[str]:
    """The tables of the client's database."""
    result = await client.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    )
    return [name for (name,) in result.result_rows]


async def test_migrating_twice_applies_once(settings: ClickHouseSettings) -> None:
    """The second run finds everything applied, and the tables are there and empty."""
    async with connected(settings, wait_s=10) as client:
        assert await migrate(client) == ALL
        assert await migrate(client) == []
        assert await count_events(client) == {}
        assert await names(client) == ["event_ids", "events", "tally_migrations", "usage_events"]


@pytest.mark.parametrize("done", range(len(STATEMENTS) + 1))
async def test_a_migration_that_was_cut_is_repeated(
    settings: ClickHouseSettings, done: int
) -> None:
    """Whichever statement a crash came after, the next run ends with everything there."""
    async with connected(settings, wait_s=10) as client:
        await run(client, STATEMENTS[:done])
        assert await migrate(client) == ALL
        assert await names(client) == ["event_ids", "events", "tally_migrations", "usage_events"]


async def test_two_runs_at_once_do_no_harm(settings: ClickHouseSettings) -> None:
    """Services that start together may all migrate; what both recorded counts once."""
    async with (
        connected(settings, wait_s=10) as one,
        connected(settings, wait_s=10) as other,
        connected(settings, wait_s=10) as third,
    ):
        applied = await asyncio.gather(migrate(one), migrate(other), migrate(third))
        assert sorted({name for names in applied for name in names}) == ALL
        assert await migrate(one) == []


async def test_the_record_of_an_older_version_is_understood(settings: ClickHouseSettings) -> None:
    """What was recorded in a table without replacement, even twice, is not applied again."""
    async with connected(settings, wait_s=10) as client:
        await client.command(
            "CREATE TABLE tally_migrations (number UInt32, name String, "
            "applied_at DateTime('UTC') DEFAULT now()) ENGINE = MergeTree ORDER BY number"
        )
        for _ in range(2):
            await client.command("INSERT INTO tally_migrations (number, name) VALUES (1, 'events')")
        await run(client, STATEMENTS[:2])
        assert await migrate(client) == ALL[1:]


async def test_tables_of_a_newer_version_are_left_alone(settings: ClickHouseSettings) -> None:
    """A migration that this version does not know is an error in words, and nothing is changed."""
    async with connected(settings, wait_s=10) as client:
        await migrate(client)
        await client.command(
            "INSERT INTO tally_migrations (number, name) VALUES (9999, 'from_the_future')"
        )
        with pytest.raises(CannotMigrate, match=r"9999 is applied.* these tables are newer"):
            await migrate(client)


async def test_an_older_server_is_refused(settings: ClickHouseSettings) -> None:
    """Before 26.5, reads would not be exact; the text says which version is needed."""
    async with connected(settings, wait_s=10) as client:
        client.server_version = "26.4.3.1"
        with pytest.raises(TooOld, match=r"26\.4\.3\.1 is too old: Tally needs 26\.5"):
            await migrate(client)
        assert await names(client) == []


async def test_one_servers_tables_never_pass_for_a_clusters(settings: ClickHouseSettings) -> None:
    """A cluster asked for where one server's tables are is refused, not silently left out."""
    async with connected(settings, wait_s=10) as client:
        await migrate(client)
        with pytest.raises(OtherTables, match="needs an empty database"):
            await migrate(client, cluster="tally")


async def test_the_plan_changes_nothing_and_can_be_run(settings: ClickHouseSettings) -> None:
    """The SQL of a dry run, run by hand, makes the tables; the migration after it only records."""
    async with connected(settings, wait_s=10) as client:
        text = "\n".join(await planned_sql(client))
        assert await names(client) == []
        await run(client, text.split(";\n")[:-1])
        assert await names(client) == ["event_ids", "events", "tally_migrations", "usage_events"]
        assert await migrate(client) == ALL
        assert await planned_sql(client) == []


async def test_a_database_that_is_missing_is_named(settings: ClickHouseSettings) -> None:
    """Where nothing may be made, the text says what makes it."""
    with pytest.raises(CannotMigrate, match=f"no database '{settings.database}': 'tally migrate'"):
        async with connected(settings, wait_s=10, make_database=False):
            pass


async def test_nobody_there_is_unreachable() -> None:
    """Waiting ends at the time given, with an error that names the address."""
    url = f"http://127.0.0.1:{free_port()}"
    async with asyncio.timeout(10):
        with pytest.raises(Unreachable, match=url):
            await connect(ClickHouseSettings(url=url), wait_s=0.3)


async def test_a_wrong_password_is_not_waited_for(server: ClickHouse) -> None:
    """A server that refuses the user will go on doing so, so the error comes at once."""
    settings = ClickHouseSettings(url=server.url, user="nobody", password="guessed")
    async with asyncio.timeout(20):
        with pytest.raises(Unreachable, match="AUTHENTICATION_FAILED") as failed:
            await connect(settings, wait_s=60)
    assert "guessed" not in str(failed.value)


async def test_connecting_waits_for_a_server_that_comes(tmp_path: Path) -> None:
    """A server that needs a moment to start is waited for."""
    port = free_port()
    settings = ClickHouseSettings(url=f"http://127.0.0.1:{port}")
    connecting = asyncio.create_task(connect(settings, wait_s=30))
    await asyncio.sleep(0.3)
    with ExitStack() as running:
        late = embedded_clickhouse(tmp_path / "late", port)
        await asyncio.to_thread(running.enter_context, late)
        client = await connecting
        await client.close()
