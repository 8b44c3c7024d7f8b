"""Make, list and drop analysts: of a ClickHouse server if TALLY_CLICKHOUSE_URL names one, else of
the embedded one whose data directory is here.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from deploy.clickhouse import users
from deploy.clickhouse.command import Where, finish, migrated
from deploy.clickhouse.store import connected, run, select
from deploy.client import CLIENT_FILE, data_directory, read_client_file
from deploy.embedded.clickhouse.access import tenant_statements
from deploy.embedded.clickhouse.accounts import changed_analysts, read_analysts
from schemas.clickhouse import ClickHouseSettings

_URL = "TALLY_CLICKHOUSE_URL"
_WIDE = 200
_EMBEDDED_WAIT_S = 5.0
# What a server keeps of its analysts: the user's name is that of its policy.
_POLICIES = (
    "SELECT DISTINCT short_name, select_filter FROM system.row_policies "
    "WHERE startsWith(short_name, 'analyst_') AND database = currentDatabase() ORDER BY 1"
)


def create(tenant: str, user: str | None, where: Where, *, as_json: bool) -> int:
    """Make an analyst and print the password, once. Gives the exit status."""
    name = user or f"{users.ANALYST_PREFIX}{tenant}"
    return finish("analysts create", _create(tenant, name, where, as_json=as_json))


def show(where: Where, *, as_json: bool) -> int:
    """List the analysts and what each may see. Gives the exit status."""
    return finish("analysts list", _show(where, as_json=as_json))


def drop(user: str, where: Where) -> int:
    """Take an analyst away. Gives the exit status."""
    return finish("analysts drop", _drop(user, where))


async def _create(tenant: str, user: str, where: Where, *, as_json: bool) -> None:
    password = secrets.token_urlsafe(32)
    users.checked_name(user)
    if (settings := _server()) is not None:
        async with migrated(settings, where) as (client, place):
            await run(client, users.roles(place))
            await run(client, users.analyst(place, user, tenant, password))
    else:
        settings = _embedded(where)
        with changed_analysts(_embedded_directory()) as analysts:
            place_number = analysts.place_of(tenant)
            analysts.put(user, tenant, password)
            async with connected(settings, wait_s=_EMBEDDED_WAIT_S) as client:
                await run(client, tenant_statements(place_number, tenant))
    made = {"url": settings.address, "user": user, "password": password, "view": "usage_events"}
    if as_json:
        sys.stdout.write(msgspec.json.encode(made).decode() + "\n")
    else:
        sys.stdout.write("".join(f"{name:9} {value}\n" for name, value in made.items()))
    sys.stderr.write(f"{user} reads the events of tenant {tenant}; the password is not kept\n")


async def _show(where: Where, *, as_json: bool) -> None:
    if (settings := _server()) is not None:
        async with migrated(settings, where) as (client, _):
            rows = await select(client, _POLICIES)
    else:
        _embedded(where)
        found = read_analysts(_embedded_directory()).users
        rows = [(user, f"tenant = '{found[user].tenant}'") for user in sorted(found)]
    if as_json:
        listed = [{"user": user, "sees": sees} for user, sees in rows]
        sys.stdout.write(msgspec.json.encode(listed).decode() + "\n")
        return
    table = Table("user", "sees")
    for row in rows:
        table.add_row(*row)
    # Not on a terminal there is no width to fit into, and whoever reads wants whole words.
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


async def _drop(user: str, where: Where) -> None:
    users.checked_name(user)
    if (settings := _server()) is not None:
        async with migrated(settings, where) as (client, place):
            await run(client, users.drop_analyst(place, user))
    else:
        _embedded(where)
        with changed_analysts(_embedded_directory()) as analysts:
            if analysts.users.pop(user, None) is None:
                raise ValueError(f"there is no {user!r}; 'tally analysts list' shows who is")
    sys.stderr.write(f"{user} is dropped\n")


def _server() -> ClickHouseSettings | None:
    return ClickHouseSettings.from_env(os.environ) if os.environ.get(_URL) else None


def _embedded(where: Where) -> ClickHouseSettings:
    """Find the embedded server. Raises ValueError, which says how to name another."""
    if where.cluster or where.database:
        raise ValueError(f"--cluster and --database are for a server: set {_URL}")
    data = data_directory()
    url = read_client_file(data / CLIENT_FILE).get("CLICKHOUSE_URL")
    if not url:
        raise ValueError(
            f"no ClickHouse is known: set {_URL}, or start 'tally up' here, which writes "
            f"{data / CLIENT_FILE} (TALLY_DATA names its directory)"
        )
    return ClickHouseSettings(url=url)


def _embedded_directory() -> Path:
    return data_directory() / "clickhouse"
