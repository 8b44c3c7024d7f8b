"""ClickHouse as deployment uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.clickhouse.store import Unreachable, connect, count_events, migrate
from tests.support.clickhouse import ClickHouse, clickhouse, embedded_clickhouse, free_port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    with clickhouse(tmp_path_factory.mktemp("migrated")) as running:
        yield running


async def test_migrating_twice_applies_once(server: ClickHouse) -> None:
    """The second run finds everything applied, and the tables are there and empty."""
    client = await connect(server.url, wait_s=10)
    assert "0001_events" in await migrate(client)
    assert await migrate(client) == []
    assert await count_events(client) == {}
    await client.close()


async def test_nobody_there_is_unreachable() -> None:
    """Waiting ends at the time given, with an error that names the address."""
    url = f"http://127.0.0.1:{free_port()}"
    async with asyncio.timeout(10):
        with pytest.raises(Unreachable, match=url):
            await connect(url, wait_s=0.3)


async def test_connecting_waits_for_a_server_that_comes(tmp_path: Path) -> None:
    """A server that needs a moment to start is waited for."""
    port = free_port()
    connecting = asyncio.create_task(connect(f"http://127.0.0.1:{port}", wait_s=30))
    await asyncio.sleep(0.3)
    with ExitStack() as running:
        late = embedded_clickhouse(tmp_path / "late", port)
        await asyncio.to_thread(running.enter_context, late)
        client = await connecting
        await client.close()
