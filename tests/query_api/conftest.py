"""A real engine with our tables, and the query service on a free port in front of it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from deploy.clickhouse.migrations import read_migrations
from query_api.app import QueryService, application
from query_api.settings import Settings
from query_api.store import ClickHouseStore
from schemas.clickhouse import ClickHouseSettings
from schemas.keys import KeyRing, make_key
from tests.query_api.rows import Table
from tests.support.clickhouse import ClickHouse
from tests.support.clickhouse import clickhouse as a_clickhouse

_numbers = itertools.count()


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    with a_clickhouse(tmp_path_factory.mktemp("clickhouse")) as server:
        create_tables(server.url)
        yield server


@pytest.fixture(scope="session")
def table(clickhouse: ClickHouse) -> Iterator[Table]:
    """The tables, whose parts stay as they were inserted."""
    table = Table(clickhouse.url)
    table.command("SYSTEM STOP MERGES events")
    yield table
    table.close()


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test uses."""
    return new_tenant()


def new_tenant() -> str:
    return f"tenant-{next(_numbers)}"


def create_tables(url: str) -> None:
    table = Table(url)
    for migration in read_migrations():
        for statement in migration.statements:
            table.command(statement.sql)
    table.close()


class Answer(NamedTuple):
    """``body`` is the decoded JSON, ``raw`` its bytes."""

    status: int
    body: Any
    raw: bytes
    headers: Any


class Api:
    """A client of one running query service, with a key for any tenant."""

    def __init__(self, url: str, keys: KeyRing, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._keys = keys
        self.http = http
        self._api_keys: dict[str, str] = {}

    def key(self, tenant: str) -> str:
        if tenant not in self._api_keys:
            new = make_key(tenant, "test")
            self._keys.apply(new.record)
            self._api_keys[tenant] = new.api_key
        return self._api_keys[tenant]

    async def call(self, method: str, path: str, tenant: str | None, **more: Any) -> Answer:
        headers = {**more.pop("headers", {})}
        if tenant is not None:
            headers["x-api-key"] = self.key(tenant)
        async with self.http.request(method, self.url + path, headers=headers, **more) as response:
            raw = await response.read()
            assert response.headers["Content-Type"] == "application/json"
            body = await response.json() if raw else None
            return Answer(response.status, body, raw, response.headers)

    async def get(self, tenant: str, **parameters: Any) -> Answer:
        """GET /v1/events."""
        return await self.call("GET", "/v1/events", tenant, params=parameters)

    async def post(self, tenant: str, **parameters: Any) -> Answer:
        """POST /v1/events/query."""
        return await self.call("POST", "/v1/events/query", tenant, json=parameters)

    async def listed(self, tenant: str, **parameters: Any) -> list[str]:
        """The IDs that POST answers, whose count must agree when all are on the page."""
        answer = await self.post(tenant, **parameters)
        assert answer.status == 200, answer.body
        ids = [event["id"] for event in answer.body["events"]]
        if not answer.body["has_more"]:
            assert answer.body["total_count"] == len(ids)
        return ids

    async def usage(
        self, tenant: str, parameters: Sequence[tuple[str, str]] = (), **more: str
    ) -> Answer:
        """GET /api/usage-events; ``parameters`` may hold a name several times."""
        given = [*parameters, *more.items()]
        return await self.call("GET", "/api/usage-events", tenant, params=given)

    async def look_up(self, tenant: str, event_id: str) -> Answer:
        return await self.call("GET", "/v1/events/lookup", tenant, params={"id": event_id})


@pytest.fixture
def settings(clickhouse: ClickHouse) -> Settings:
    return Settings(clickhouse=ClickHouseSettings(url=clickhouse.url))


@pytest_asyncio.fixture
async def api(settings: Settings, table: Table) -> AsyncIterator[Api]:
    async with serving(settings) as api:
        yield api


@asynccontextmanager
async def serving(
    settings: Settings, now: Callable[[], datetime] | None = None
) -> AsyncIterator[Api]:
    """Run a query service on a free port."""
    keys = KeyRing()
    store = ClickHouseStore(settings)
    service = QueryService(store, keys, settings, **({"now": now} if now else {}))
    runner = web.AppRunner(application(service), auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession() as http:
            yield Api(f"http://127.0.0.1:{port}", keys, http)
    finally:
        await runner.cleanup()
        await store.close()
