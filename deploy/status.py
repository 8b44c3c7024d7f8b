"""`tally status`: what is up, how far behind the consumers are, how many events there are."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec
from rich.console import Console
from rich.table import Table

from deploy.clickhouse.store import CannotAnswer, Unreachable, connect, count_events
from deploy.client import CLIENT_FILE, data_directory, find_clickhouse, find_kafka, find_url
from deploy.embedded.log.files import GROUPS_DB, is_held
from deploy.embedded.log.lag import PartitionLag, read_lag
from deploy.kafka_log.lag import LagUnknown, Member, read_group
from schemas.clickhouse import ClickHouseSettings
from schemas.kafka import KafkaSettings

_TIMEOUT_S = 5.0
_NOT_RUNNING = "not running"


class Status(msgspec.Struct):
    """``parts`` says "ok" of each part, or what is wrong; ``events`` is None if nobody can say.

    ``consumers`` are those of Kafka's group; None for the embedded log, which has at most one.
    """

    parts: dict[str, str]
    lag: list[PartitionLag]
    consumers: list[Member] | None
    events: dict[str, int] | None


class _Log(NamedTuple):
    """The states of the log and of its consumers, and what the log knows of them."""

    log: str
    consumer: str
    lag: list[PartitionLag]
    consumers: list[Member] | None


def status(*, as_json: bool) -> int:
    """Print the status. Gives the exit status: 0 if everything is up, else 1."""
    try:
        kafka, clickhouse, url = find_kafka(), find_clickhouse(), find_url()
        data = data_directory()
        if kafka is None and not data.is_dir():
            raise ValueError(
                f"there is no data directory {data}: start 'tally up', or set TALLY_DATA, or for "
                "Kafka TALLY_KAFKA_BOOTSTRAP_SERVERS, TALLY_CLICKHOUSE_URL and TALLY_URL"
            )
    except ValueError as error:
        sys.stderr.write(f"tally status: {error}\n")
        return 1
    found = asyncio.run(_find(data, url, kafka, clickhouse))
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        _print(found)
    return 0 if all(state == "ok" for state in found.parts.values()) else 1


async def _find(
    data: Path, url: str | None, kafka: KafkaSettings | None, clickhouse: ClickHouseSettings | None
) -> Status:
    """Ask every part at once, so that several that are down are told as soon as one."""
    api, log, (state, events) = await asyncio.gather(
        _api_state(url), _log_state(data, kafka), _events(clickhouse)
    )
    parts = {"api": api, "consumer": log.consumer, "clickhouse": state, "log": log.log}
    return Status(parts, log.lag, log.consumers, events)


async def _log_state(data: Path, kafka: KafkaSettings | None) -> _Log:
    if kafka is None:
        runs = is_held(data / "log" / f"{GROUPS_DB}.lock")
        consumer = "ok" if runs else _NOT_RUNNING
        try:
            return _Log("ok", consumer, read_lag(data / "log"), None)
        except sqlite3.Error as error:
            return _Log(str(error), consumer, [], None)
    try:
        group = await read_group(kafka)
    except LagUnknown as error:
        return _Log(str(error), "unknown: the log does not say", [], [])
    return _Log("ok", "ok" if group.members else _NOT_RUNNING, group.lag, group.members)


async def _events(settings: ClickHouseSettings | None) -> tuple[str, dict[str, int] | None]:
    """Give ClickHouse's state, and the number of events of each tenant if it can tell."""
    if settings is None:
        return f"{CLIENT_FILE} names no address; was 'tally up' ever ready here?", None
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            store = await connect(settings, wait_s=0)
            try:
                return "ok", await count_events(store)
            finally:
                await store.close()
    except TimeoutError:
        return f"no answer within {_TIMEOUT_S:g} s", None
    except (Unreachable, CannotAnswer) as error:
        return str(error), None


async def _api_state(base_url: str | None) -> str:
    if base_url is None:
        return f"{CLIENT_FILE} names no address, nor does TALLY_URL"
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
    if found.consumers:
        consumers = Table("consumer on", "reads partitions")
        for member in found.consumers:
            consumers.add_row(member.host, ", ".join(map(str, member.partitions)) or "none")
        console.print(consumers)
    if found.events is not None:
        events = Table("tenant", "events")
        for tenant, count in found.events.items():
            events.add_row(tenant, f"{count:,}")
        console.print(events)
