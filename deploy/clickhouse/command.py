"""`tally migrate` and `tally users`: what they print, and with which status they end."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from deploy.clickhouse import users
from deploy.clickhouse.migrations import Cluster
from deploy.clickhouse.store import (
    CannotAnswer,
    CannotMigrate,
    Client,
    Unreachable,
    connected,
    current_database,
    plan,
    planned_sql,
    run,
)
from deploy.clickhouse.store import migrate as apply
from schemas.clickhouse import ClickHouseSettings
from schemas.settings import Variables

# The services' users: name, role, the variable with the password.
_SERVICES: Final = (
    ("tally_writer", "tally_write", "TALLY_CLICKHOUSE_WRITER_PASSWORD"),
    ("tally_reader", "tally_read", "TALLY_CLICKHOUSE_READER_PASSWORD"),
)


@dataclass(frozen=True, kw_only=True)
class Where:
    """Which tables: ``cluster`` and ``database`` as the command line names them, ``wait_s`` for
    how long to wait for a server that does not answer yet.
    """

    cluster: str | None = None
    database: str | None = None
    wait_s: float = 30.0


def migrate(where: Where, *, dry_run: bool) -> int:
    """Bring the tables up to date, or print the SQL that would. Gives the exit status."""
    return finish("migrate", _migrate(where, dry_run=dry_run))


def apply_users(where: Where) -> int:
    """Make the roles, and the services' users that have a password. Gives the exit status."""
    return finish("users apply", _apply_users(where))


def finish(name: str, work: Coroutine[None, None, None]) -> int:
    """Run a command's work; what keeps it from its end becomes one line and status 1."""
    try:
        asyncio.run(work)
    except (CannotAnswer, CannotMigrate, Unreachable, ValueError, OSError) as error:
        sys.stderr.write(f"tally {name}: {error}\n")
        return 1
    return 0


@asynccontextmanager
async def migrated(
    settings: ClickHouseSettings, where: Where
) -> AsyncIterator[tuple[Client, users.Place]]:
    """Connect to tables that are up to date. Raises CannotMigrate if they are not."""
    async with connected(
        settings, wait_s=where.wait_s, database=where.database, make_database=False
    ) as client:
        if await plan(client, cluster=where.cluster):
            raise CannotMigrate("the tables are not up to date: run 'tally migrate' first")
        database = await current_database(client)
        cluster = Cluster(where.cluster, database) if where.cluster else None
        yield client, users.Place(database, cluster)


async def _migrate(where: Where, *, dry_run: bool) -> None:
    settings = ClickHouseSettings.from_env(os.environ)
    async with connected(
        settings,
        wait_s=where.wait_s,
        database=where.database,
        cluster=where.cluster,
        make_database=not dry_run,
    ) as client:
        if dry_run:
            lines = await planned_sql(client, cluster=where.cluster)
        else:
            lines = [f"applied {name}" for name in await apply(client, cluster=where.cluster)]
    sys.stdout.write("\n".join(lines or ["nothing to do"]) + "\n")


async def _apply_users(where: Where) -> None:
    variables = Variables(os.environ)
    settings = ClickHouseSettings.read(variables)
    passwords = {name: variables.secret(name) for _, _, name in _SERVICES}
    variables.check()
    async with migrated(settings, where) as (client, place):
        await run(client, users.roles(place))
        sys.stdout.write("roles tally_write, tally_read and tally_analyst are as they should be\n")
        for user, role, variable in _SERVICES:
            if password := passwords[variable]:
                await run(client, users.service_user(place, user, role, password))
                sys.stdout.write(f"user {user} has the role {role} and the password given\n")
            else:
                sys.stdout.write(
                    f"no password for {user}: set {variable}, or grant {role} to a user of yours\n"
                )
