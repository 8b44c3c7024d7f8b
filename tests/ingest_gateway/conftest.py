"""A gateway over a real HTTP server and a real log, in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from deploy.embedded.log.events import SqliteEventLog
from ingest_gateway.app import Gateway
from ingest_gateway.log import EventLog
from ingest_gateway.settings import Settings
from schemas.keys import KeyRing, make_key


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteEventLog]:
    opened = SqliteEventLog(tmp_path)
    yield opened
    await opened.close()


@asynccontextmanager
async def serving(log: EventLog, settings: Settings) -> AsyncIterator[ClientSession]:
    """Serve the gateway's routes on a free port; give a session with a good key."""
    ring, made = KeyRing(), make_key("acme", "")
    ring.apply(made.record)
    app = web.Application()
    app.add_routes(Gateway(log, ring, settings).routes())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    headers = {"x-api-key": made.api_key, "Content-Type": "application/json"}
    async with ClientSession(f"http://{host}:{port}", headers=headers) as session:
        yield session
    await runner.cleanup()
