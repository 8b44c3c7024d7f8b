"""ClickHouse that is away, too old for us, or asked for too much."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from query_api.errors import QueryTooCostly, StoreUnavailable
from query_api.plan import Statement
from query_api.settings import Settings
from query_api.store import ClickHouseStore
from schemas.clickhouse import ClickHouseSettings
from tests.query_api.conftest import create_tables, serving
from tests.query_api.rows import NOON, Row, Table, at, text
from tests.support.clickhouse import ClickHouse, EmbeddedClickHouse, embedded_clickhouse, free_port

SLOW = Statement(
    "SELECT sum(sleepEachRow(0.02)) FROM numbers(5000) SETTINGS max_block_size = 10", {}
)


@asynccontextmanager
async def a_store(url: str, **settings: Any) -> AsyncIterator[ClickHouseStore]:
    store = ClickHouseStore(Settings(clickhouse=ClickHouseSettings(url=url), **settings))
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def own_clickhouse(tmp_path: Path) -> Iterator[EmbeddedClickHouse]:
    """A server that the test may end."""
    with embedded_clickhouse(tmp_path / "clickhouse") as server:
        yield server


async def test_the_service_outlives_clickhouse(own_clickhouse: EmbeddedClickHouse) -> None:
    """It starts without ClickHouse or its tables, answers 503 with Retry-After while it is away,
    and reads again as soon as it is back.
    """
    window = {"start_time": text(at(-1)), "end_time": text(at(1))}
    own_clickhouse.stop()
    async with serving(Settings(clickhouse=ClickHouseSettings(url=own_clickhouse.url))) as api:

        async def is_unavailable() -> None:
            for answer in (
                await api.get("t", **window),
                await api.post("t", **window),
                await api.look_up("t", "x"),
            ):
                assert answer.status == 503, answer.body
                assert answer.body["code"] == "service_unavailable"
                assert int(answer.headers["Retry-After"]) >= 1

        await is_unavailable()
        ready = await api.call("GET", "/query/readyz", None)
        assert (ready.status, ready.body) == (
            503,
            {"clickhouse": "ClickHouse can't be reached", "keys": "ok"},
        )
        assert (await api.call("GET", "/query/livez", None)).status == 200

        own_clickhouse.start()
        await is_unavailable()  # there are no tables yet
        create_tables(own_clickhouse.url)
        table = Table(own_clickhouse.url)
        table.store(Row("t", "x", NOON))
        table.close()
        assert (await api.look_up("t", "x")).status == 200
        assert await api.listed("t", **window) == ["x"]

        own_clickhouse.kill()
        await is_unavailable()
        own_clickhouse.start()
        assert await api.listed("t", **window) == ["x"]
        assert (await api.call("GET", "/query/readyz", None)).status == 200


async def test_a_server_that_does_not_answer_is_unavailable() -> None:
    """Connections that are accepted and never answered cost the time-out, once for all waiters."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1024):
            pass
        writer.close()

    port = free_port()
    server = await asyncio.start_server(swallow, "127.0.0.1", port)
    async with a_store(f"http://127.0.0.1:{port}", connect_timeout_s=0.5) as store:
        began = time.monotonic()
        answers = await asyncio.gather(
            *(store.fetch(SLOW, tuple[int]) for _ in range(5)), return_exceptions=True
        )
        assert all(isinstance(answer, StoreUnavailable) for answer in answers)
        assert time.monotonic() - began < 2
    await asyncio.sleep(0.1)  # the server sees the connections end
    server.close()


async def test_an_older_clickhouse_is_refused(clickhouse: ClickHouse) -> None:
    """A server on which FINAL is not exact is not read from, and is named."""

    async def forward(request: web.Request) -> web.Response:
        """Answer as the real server does, but under an older version."""
        async with (
            aiohttp.ClientSession() as http,
            http.post(clickhouse.url, params=request.query, data=await request.read()) as answer,
        ):
            body = await answer.read()
            return web.Response(body=re.sub(rb"\b26\.\d+\.[\d.]+", b"26.4.1.1", body))

    app = web.Application()
    app.router.add_post("/", forward)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with a_store(f"http://127.0.0.1:{port}") as store:
        with pytest.raises(StoreUnavailable, match=r"is 26\.4\.1\.1; exact reads need 26\.5"):
            await store.ping()
    await runner.cleanup()


async def test_a_query_over_its_limits_says_so(clickhouse: ClickHouse) -> None:
    """Too much time or memory is the query's fault, not the store's."""
    for limits, statement in (
        ({"query_timeout_s": 1.0}, SLOW),
        (
            {"query_max_memory_bytes": 2 * 1024**2},
            Statement("SELECT length(groupArray(number)) FROM numbers(30000000)", {}),
        ),
    ):
        async with a_store(clickhouse.url, **limits) as store:
            with pytest.raises(QueryTooCostly):
                await store.fetch(statement, tuple[int])


async def test_a_costly_list_is_refused_with_advice(
    clickhouse: ClickHouse, table: Table, tenant: str
) -> None:
    """The client hears a 4xx that says what to narrow."""
    table.insert(*(Row(tenant, f"e{i}", properties=f'{{"k":{i}}}') for i in range(3000)))
    settings = Settings(
        clickhouse=ClickHouseSettings(url=clickhouse.url), query_max_memory_bytes=1000
    )
    async with serving(settings) as api:
        answer = await api.post(tenant, start_time=text(at(-1)), end_time=text(at(1)))
        assert answer.status == 422
        assert "start_time" in answer.body["message"]


async def test_cancelling_ends_the_wait(clickhouse: ClickHouse) -> None:
    """A caller that goes away leaves no query behind that others wait for."""
    async with a_store(clickhouse.url) as store:
        await store.ping()
        running = asyncio.create_task(store.fetch(SLOW, tuple[int]))
        await asyncio.sleep(0.2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        largest = Statement("SELECT {n:UInt64}", {"n": 2**64 - 1})
        assert await store.fetch(largest, tuple[int]) == [(2**64 - 1,)]
        await store.close()  # twice


async def test_our_own_mistakes_are_not_the_clients(clickhouse: ClickHouse) -> None:
    """SQL that ClickHouse can't read is neither unavailability nor cost."""
    async with a_store(clickhouse.url) as store:
        with pytest.raises(Exception, match="SYNTAX_ERROR") as caught:
            await store.fetch(Statement("SELEC 1", {}), tuple[int])
    assert not isinstance(caught.value, StoreUnavailable | QueryTooCostly)


@pytest.mark.parametrize(
    "value", ["a\tb\nc\rd\be\0f\\g'h\"i`j{k:String}%", "\\N", "", "ünï\U0001f600", "x" * 100_000]
)
async def test_parameters_arrive_as_they_are(clickhouse: ClickHouse, value: str) -> None:
    """Any text survives the way to the server and back, alone and in an array."""
    statement = Statement(
        "SELECT {one:String}, {many:Array(String)}", {"one": value, "many": [value] * 2}
    )
    async with a_store(clickhouse.url) as store:
        rows = await store.fetch(statement, tuple[str, list[str]])
    assert rows == [(value, [value, value])]
