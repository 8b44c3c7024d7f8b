"""`tally status`: what is up, how far behind the consumer is, how many events there are."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path

import aiohttp
import msgspec
from rich.console import Console
from rich.table import Table

from deploy.clickhouse.store import CannotAnswer, Unreachable, connect, count_events
from deploy.client import CLIENT_FILE, data_directory, read_client_file
from deploy.embedded.log.files import GROUPS_DB, is_held
from deploy.embedded.log.lag import PartitionLag, read_lag

_TIMEOUT_S = 5.0


class Status(msgspec.Struct):
    """``parts`` says "ok" of each part, or what is wrong; ``events`` is None if nobody can say."""

    parts: dict[str, str]
    lag: list[PartitionLag]
    events: dict[str, int] | None


def status(*, as_json: bool) -> int:
    """Print the status. Gives the exit status: 0 if everything is up, else 1."""
    data = data_directory()
    if not data.is_dir():
        sys.stderr.write(
            f"tally status: there is no data directory {data}: "
            "start 'tally up', or set TALLY_DATA\n"
        )
        return 1
    found = asyncio.run(find_status(data))
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        _print(found)
    return 0 if all(state == "ok" for state in found.parts.values()) else 1


async def find_status(data: Path) -> Status:
    """Ask every part of the stack whose data directory this is."""
    client = read_client_file(data / CLIENT_FILE)
    parts = {"api": await _api_state(client.get("BASE_URL", ""))}
    consumer_runs = is_held(data / "log" / f"{GROUPS_DB}.lock")
    parts["consumer"] = "ok" if consumer_runs else "not running"
    events = None
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            events = await _count(client.get("CLICKHOUSE_URL"))
        parts["clickhouse"] = "ok"
    except TimeoutError:
        parts["clickhouse"] = f"no answer within {_TIMEOUT_S:g} s"
    except (Unreachable, CannotAnswer) as error:
        parts["clickhouse"] = str(error)
    try:
        lag = read_lag(data / "log")
        parts["log"] = "ok"
    except sqlite3.Error as error:
        lag = []
        parts["log"] = str(error)
    return Status(parts, lag, events)


async def _count(url: str | None) -> dict[str, int]:
    if not url:
        raise Unreachable(f"{CLIENT_FILE} names no address; was 'tally up' ever ready here?")
    store = await connect(url, wait_s=0)
    try:
        return await count_events(store)
    finally:
        await store.close()


async def _api_state(base_url: str) -> str:
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{base_url}/readyz") as answer,
        ):
            return "ok" if answer.status == 200 else (await answer.text())
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return f"not answering: {str(error) or type(error).__name__}"


def _print(found: Status) -> None:
    console = Console()
    parts = Table("part", "state")
    for name, state in found.parts.items():
        parts.add_row(name, state)
    console.print(parts)
    if found.lag:
        lag = Table("partition", "end offset", "lag (records)", "lag (s)")
        for partition in found.lag:
            lag.add_row(
                str(partition.partition),
                f"{partition.end_offset:,}",
                f"{partition.records:,}",
                f"{partition.seconds:.1f}",
            )
        console.print(lag)
    if found.events is not None:
        events = Table("tenant", "events")
        for tenant, count in found.events.items():
            events.add_row(tenant, f"{count:,}")
        console.print(events)
