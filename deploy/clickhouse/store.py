"""ClickHouse, as deployment uses it: waiting for it, migrating it, asking it for totals."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

import clickhouse_connect
from aiohttp import ClientError
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.clickhouse.migrations import read_migrations
from schemas.tables import EVENTS, READ_SETTINGS

_log = logging.getLogger(__name__)

# Before it, FINAL prunes parts by columns outside the key in more ways.
OLDEST_VERSION: Final = (26, 5)
_RETRY_S: Final = 0.1

_MIGRATIONS_TABLE: Final = """
CREATE TABLE IF NOT EXISTS tally_migrations
(
    number     UInt32,
    name       String,
    applied_at DateTime('UTC') DEFAULT now()
)
ENGINE = MergeTree ORDER BY number
"""


class CannotMigrate(Exception):  # noqa: N818 (names the condition)
    """The tables can't be brought up to date; the text says why."""


class TooOld(CannotMigrate):
    """The server is older than what exact reads need."""


class CannotAnswer(Exception):  # noqa: N818 (names the condition)
    """ClickHouse is there and does not answer the question; the text says why."""


class Unreachable(Exception):  # noqa: N818 (names the condition)
    """ClickHouse does not answer at this address."""


async def connect(url: str, *, wait_s: float) -> AsyncClient:
    """Connect to ClickHouse, waiting up to ``wait_s`` seconds until it answers.

    Raises Unreachable.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return await clickhouse_connect.get_async_client(
                dsn=url, compress=False, autogenerate_session_id=False
            )
        except (ClickHouseError, ClientError, OSError, ValueError) as error:
            if time.monotonic() >= deadline:
                raise Unreachable(f"no answer from {url!r}: {error}") from error
        await asyncio.sleep(_RETRY_S)


async def migrate(client: AsyncClient) -> list[str]:
    """Apply what is not yet applied and give its names. Running it again applies nothing.

    Raises CannotMigrate, which TooOld is one of.
    """
    try:
        return await _migrate(client)
    except (ClickHouseError, ClientError, OSError) as error:
        raise CannotMigrate(f"the tables could not be brought up to date: {error}") from error


async def _migrate(client: AsyncClient) -> list[str]:
    version = str(client.server_version)
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        raise TooOld(f"ClickHouse {version} is too old: Tally needs {oldest} or newer")
    await client.command(_MIGRATIONS_TABLE)
    applied = {
        row[0] for row in (await client.query("SELECT number FROM tally_migrations")).result_rows
    }
    names: list[str] = []
    for migration in read_migrations():
        if migration.number in applied:
            continue
        for statement in migration.statements:
            await client.command(statement)
        row = [migration.number, migration.name]
        await client.insert("tally_migrations", [row], column_names=["number", "name"])
        names.append(f"{migration.number:04}_{migration.name}")
        _log.info("applied %s", names[-1])
    return names


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
