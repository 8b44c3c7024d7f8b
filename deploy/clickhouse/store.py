"""ClickHouse, as deployment uses it: waiting for it, migrating it, running SQL, totals."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import clickhouse_connect
from aiohttp import ClientError
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.clickhouse.migrations import (
    Cluster,
    Migration,
    NewerTables,
    on_cluster,
    pending,
    quoted,
    read_migrations,
    record_table,
)
from schemas.clickhouse import ClickHouseSettings
from schemas.tables import EVENTS, READ_SETTINGS

Client = AsyncClient

_log = logging.getLogger(__name__)

# Before it, FINAL prunes parts by columns outside the key in more ways.
OLDEST_VERSION: Final = (26, 5)
_RETRY_S: Final = 0.1
_AUTHENTICATION_FAILED: Final = 516
_TABLES: Final = "SELECT name, engine FROM system.tables WHERE database = currentDatabase()"
# Where the servers share their users among themselves, ON CLUSTER would make them twice.
_DDL_SETTINGS: Final = {"ignore_on_cluster_for_replicated_access_entities_queries": "1"}


class CannotMigrate(Exception):  # noqa: N818 (names the condition)
    """The tables can't be brought up to date; the text says why."""


class TooOld(CannotMigrate):
    """The server is older than what exact reads need."""


class OtherTables(CannotMigrate):
    """There are tables of one server where those of a cluster are wanted, or the reverse."""


class CannotAnswer(Exception):  # noqa: N818 (names the condition)
    """ClickHouse is there and does not answer the question; the text says why."""


class Unreachable(Exception):  # noqa: N818 (names the condition)
    """ClickHouse does not answer at this address."""


async def connect(settings: ClickHouseSettings, *, wait_s: float) -> AsyncClient:
    """Connect to ClickHouse, waiting up to ``wait_s`` seconds until it answers.

    Raises Unreachable, at once if the server answers that it does not let this user in.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return await clickhouse_connect.get_async_client(
                **settings.client_options(), compress=False, autogenerate_session_id=False
            )
        except (ClickHouseError, ClientError, OSError, ValueError) as error:
            refused = getattr(error, "code", None) == _AUTHENTICATION_FAILED
            if refused or time.monotonic() >= deadline:
                raise Unreachable(f"no answer from {settings.address}: {error}") from error
        await asyncio.sleep(_RETRY_S)


@asynccontextmanager
async def connected(
    settings: ClickHouseSettings,
    *,
    wait_s: float,
    database: str | None = None,
    cluster: str | None = None,
    make_database: bool = True,
) -> AsyncIterator[AsyncClient]:
    """Connect to a database, which is made if it is not there, and close in the end.

    Without ``database`` it is the one of the settings. Raises Unreachable or CannotMigrate, the
    latter for a missing one if not ``make_database``.
    """
    name = database or settings.client_options()["database"]
    if name:
        client = await connect(replace(settings, database="default"), wait_s=wait_s)
        try:
            await _need_database(client, name, cluster, make=make_database)
        finally:
            await client.close()
        settings = replace(settings, database=name)
    client = await connect(settings, wait_s=wait_s)
    try:
        yield client
    finally:
        await client.close()


async def migrate(client: AsyncClient, *, cluster: str | None = None) -> list[str]:
    """Apply what is not yet applied, in the client's database, and give its names. Running it
    again applies nothing; running it twice at once, or after half of it, ends the same.

    Raises CannotMigrate, which TooOld and OtherTables are kinds of.
    """
    where = await _where(client, cluster)
    names: list[str] = []
    for migration in await plan(client, cluster=cluster):
        if not names:
            await run(client, [record_table(where)])
        await run(client, statements_of(migration, where))
        row = [migration.number, migration.name]
        try:
            await client.insert("tally_migrations", [row], column_names=["number", "name"])
        except (ClickHouseError, ClientError, OSError) as error:
            raise CannotMigrate(f"{migration.title} could not be recorded: {error}") from error
        names.append(migration.title)
        _log.info("applied %s", names[-1])
    return names


async def plan(client: AsyncClient, *, cluster: str | None = None) -> list[Migration]:
    """Give what `migrate` would apply, and change nothing. Raises what it raises."""
    version = str(client.server_version)
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        raise TooOld(f"ClickHouse {version} is too old: Tally needs {oldest} or newer")
    try:
        rows = (await client.query(_TABLES)).result_rows
        engines = {str(name): str(engine) for name, engine in rows}
        applied: set[int] = set()
        if "tally_migrations" in engines:
            numbers = await client.query("SELECT DISTINCT number FROM tally_migrations")
            applied = {int(number) for (number,) in numbers.result_rows}
    except (ClickHouseError, ClientError, OSError) as error:
        raise CannotMigrate(f"the tables can't be looked at: {error}") from error
    if EVENTS in engines and (engines[EVENTS] == "Distributed") != bool(cluster):
        raise OtherTables(
            f"table {EVENTS} is one server's own: a cluster needs an empty database (--database)"
            if cluster
            else f"table {EVENTS} is spread over a cluster: name it with --cluster"
        )
    try:
        return pending(read_migrations(), applied)
    except NewerTables as error:
        raise CannotMigrate(str(error)) from error


async def planned_sql(client: AsyncClient, *, cluster: str | None = None) -> list[str]:
    """Give the SQL that `migrate` would run, each migration under a comment with its name; empty
    if there is nothing to do. Raises what `migrate` raises.
    """
    where = await _where(client, cluster)
    migrations = await plan(client, cluster=cluster)
    lines = [f"{record_table(where)};"] if migrations else []
    for migration in migrations:
        lines.append(f"\n-- {migration.title}")
        lines += [f"{sql};\n" for sql in statements_of(migration, where)]
    return lines


def statements_of(migration: Migration, cluster: Cluster | None) -> list[str]:
    """Give a migration's statements, for a cluster if there is one. Raises CannotMigrate."""
    if cluster is None:
        return [statement.sql for statement in migration.statements]
    try:
        return [sql for each in migration.statements for sql in on_cluster(each, cluster)]
    except ValueError as error:
        raise CannotMigrate(f"{migration.title}: {error}") from error


async def run(client: AsyncClient, statements: Iterable[str]) -> None:
    """Run statements, one after the other. Raises CannotMigrate at the first that fails."""
    for statement in statements:
        try:
            await client.command(statement, settings=_DDL_SETTINGS)
        except (ClickHouseError, ClientError, OSError) as error:
            raise CannotMigrate(f"the database could not be brought up to date: {error}") from error


async def select(client: AsyncClient, sql: str) -> list[tuple[str, ...]]:
    """Give the rows of a query, as texts. Raises CannotAnswer."""
    try:
        return [tuple(map(str, row)) for row in (await client.query(sql)).result_rows]
    except (ClickHouseError, ClientError, OSError) as error:
        raise CannotAnswer(str(error)) from error


async def _need_database(
    client: AsyncClient, name: str, cluster: str | None, *, make: bool
) -> None:
    where = f" ON CLUSTER {quoted(cluster)}" if cluster else ""
    try:
        if make:
            await client.command(f"CREATE DATABASE IF NOT EXISTS {quoted(name)}{where}")
        elif not await client.command(f"EXISTS DATABASE {quoted(name)}"):
            raise CannotMigrate(f"there is no database {name!r}: 'tally migrate' makes it")
    except (ClickHouseError, ClientError, OSError) as error:
        raise CannotMigrate(f"database {name!r}: {error}") from error


async def _where(client: AsyncClient, cluster: str | None) -> Cluster | None:
    return Cluster(cluster, await current_database(client)) if cluster else None


async def current_database(client: AsyncClient) -> str:
    """Give the database that the client is connected to. Raises CannotMigrate."""
    try:
        return str(await client.command("SELECT currentDatabase()"))
    except (ClickHouseError, ClientError, OSError) as error:
        raise CannotMigrate(f"ClickHouse does not answer: {error}") from error


async def count_events(client: AsyncClient) -> dict[str, int]:
    """Give the number of events of each tenant: exact, so it reads every key.

    Raises CannotAnswer.
    """
    query = f"SELECT tenant, count() FROM {EVENTS} FINAL GROUP BY tenant ORDER BY tenant"  # noqa: S608 (a constant)
    try:
        rows = (await client.query(query, settings=dict(READ_SETTINGS))).result_rows
    except (ClickHouseError, ClientError, OSError) as error:
        raise CannotAnswer(str(error)) from error
    return {str(tenant): int(count) for tenant, count in rows}
