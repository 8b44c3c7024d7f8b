"""A gateway over a real HTTP server and a real log, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from deploy.embedded.log.events import SqliteEventLog
from ingest_gateway.app import Gateway
from ingest_gateway.connections import Runner
from ingest_gateway.log import EventLog
from ingest_gateway.settings import Settings
from schemas.keys import KeyRing, make_key


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteEventLog]:
    opened = SqliteEventLog(tmp_path)
    yield opened
    await opened.close()


@asynccontextmanager
async def serving(
    log: EventLog, settings: Settings, ring: KeyRing | None = None
) -> AsyncIterator[ClientSession]:
    """Serve the gateway's routes on a free port; give a session with a good key of the ring."""
    ring, made = ring or KeyRing(), make_key("acme", "")
    ring.apply(made.record)
    app = web.Application()
    app.add_routes(Gateway(log, ring, settings).routes())
    # A connection whose body is still being thrown away is not waited for.
    runner = Runner(
        app,
        head_timeout_s=settings.head_timeout_s,
        keepalive_timeout_s=settings.keepalive_timeout_s,
        shutdown_timeout=0.5,
        auto_decompress=False,
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    headers = {"x-api-key": made.api_key, "Content-Type": "application/json"}
    try:
        async with ClientSession(f"http://{host}:{port}", headers=headers) as session:
            yield session
    finally:
        await runner.cleanup()
        for _ in range(10):  # turns of the loop, in which the client sees its connections end
            await asyncio.sleep(0)
