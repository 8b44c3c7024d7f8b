"""A consumer over a real log and the real engine, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from consumer.runner import Consumer
from consumer.settings import Settings
from consumer.store import ClickHouseStore
from deploy.clickhouse.store import connect, migrate
from deploy.embedded.log.dead_letters import SqliteDeadLetters
from deploy.embedded.log.lag import read_lag
from deploy.embedded.log.source import SqliteSource
from schemas.clickhouse import ClickHouseSettings
from tests.support.clickhouse import ClickHouse, EmbeddedClickHouse, clickhouse, embedded_clickhouse


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """The engine with our tables, for tests that leave it running."""
    with clickhouse(tmp_path_factory.mktemp("engine")) as server:
        make_tables(server.url)
        yield server


@pytest.fixture
def own_engine(tmp_path: Path) -> Iterator[EmbeddedClickHouse]:
    """An engine of one's own, to kill and start again."""
    with embedded_clickhouse(tmp_path / "own") as server:
        make_tables(server.url)
        yield server


def make_tables(url: str) -> None:
    async def apply() -> None:
        client = await connect(ClickHouseSettings(url=url), wait_s=10)
        await migrate(client)
        await client.close()

    # In a thread of its own, since the plugin's event loop belongs to this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, apply()).result()


@asynccontextmanager
async def consuming(
    directory: Path, settings: Settings, *, check_twice: bool = False
) -> AsyncIterator[asyncio.Task[bool]]:
    """Run a consumer over the log in ``directory`` while the block runs, then drain it.

    Gives its task, which ends by itself only when the consumer must stop.
    """
    stop = asyncio.Event()
    store = ClickHouseStore(settings.clickhouse)
    letters = SqliteDeadLetters(directory)
    consumer = Consumer(SqliteSource(directory), store, letters, settings, check_twice=check_twice)
    running = asyncio.create_task(consumer.run(stop))
    try:
        yield running
    finally:
        stop.set()
        try:
            await running
        finally:
            await store.close()
            letters.close()


async def wait_until_stored(directory: Path, *, within_s: float = 30) -> None:
    """Wait until every record of the log is committed."""
    async with asyncio.timeout(within_s):
        while any(lag.records for lag in read_lag(directory)):  # noqa: ASYNC110 (another process's)
            await asyncio.sleep(0.02)
