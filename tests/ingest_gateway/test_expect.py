"""``Expect``, and clients that go away, for the gateway and for the query service alike."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from ingest_gateway import answers as gateways
from ingest_gateway.admission import Admission
from ingest_gateway.body import admitted_body
from ingest_gateway.connections import Runner
from query_api import answers as querys
from query_api.body import read_body
from schemas.errors import ApiError, unauthenticated

Read = Callable[[web.Request], Awaitable[bytes]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def read_as_gateway(request: web.Request) -> bytes:
    room = Admission(1 << 20).room("key")
    async with admitted_body(request, room, timeout_s=0.5) as body:
        return body


async def read_as_query_service(request: web.Request) -> bytes:
    return await read_body(request, timeout_s=0.5)


@pytest.fixture(params=["gateway", "query"])
def service(request: pytest.FixtureRequest) -> tuple[Any, Read]:
    """What wraps a handler, and what reads a body."""
    if request.param == "gateway":
        return gateways, read_as_gateway
    return querys, read_as_query_service


@asynccontextmanager
async def connected(service: tuple[Any, Read], key: str = "good") -> AsyncIterator[Streams]:
    """A connection to a service that reads a body if the key is good."""
    answers, read = service

    async def handle(request: web.Request) -> web.Response:
        if request.headers["x-api-key"] != key:
            raise unauthenticated("no")
        return web.Response(body=b"got %d" % len(await read(request)))

    app = web.Application(middlewares=[answers.refuse_in_our_shape])
    app.add_routes([web.post("/", answers.answering(handle))])
    runner = Runner(app, head_timeout_s=30, keepalive_timeout_s=30, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
    try:
        async with asyncio.timeout(20):
            yield reader, writer
    finally:
        writer.close()
        await runner.cleanup()


def head(expect: str, *, path: str = "/", key: str = "good", version: str = "1.1") -> bytes:
    return (
        f"POST {path} HTTP/{version}\r\nHost: x\r\nx-api-key: {key}\r\nX-Request-ID: mine\r\n"
        f"Expect: {expect}\r\nContent-Length: 3\r\n\r\n"
    ).encode()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    """Read one answer: status, head and body."""
    start = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in start.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return int(start.split()[1]), start, await reader.readexactly(length)


async def test_a_body_is_asked_for_when_it_is_read(service: Any) -> None:
    """And once; what follows on the connection is asked for anew."""
    async with connected(service) as (reader, writer):
        for expect in ("100-continue", "100-Continue"):
            writer.write(head(expect))
            assert (await answer(reader))[:2] == (100, b"HTTP/1.1 100 Continue\r\n\r\n")
            writer.write(b"abc")
            assert (await answer(reader))[::2] == (200, b"got 3")


async def test_a_body_that_is_there_need_not_be_asked_for(service: Any) -> None:
    """The answer comes, with or without a word before it."""
    async with connected(service) as (reader, writer):
        writer.write(head("100-continue") + b"abc")
        status, _, body = await answer(reader)
        if status == 100:
            status, _, body = await answer(reader)
        assert (status, body) == (200, b"got 3")


async def test_who_has_no_good_key_is_not_asked_for_a_body(service: Any) -> None:
    """The refusal is the first word that is heard."""
    async with connected(service) as (reader, writer):
        writer.write(head("100-continue", key="bad"))
        assert (await answer(reader))[0] == 401


@pytest.mark.parametrize("path", ["/", "/nowhere"])
async def test_another_expectation_is_a_417_in_our_shape(service: Any, path: str) -> None:
    """Under the request's ID, on whatever path."""
    async with connected(service) as (reader, writer):
        writer.write(head("200-ok", path=path) + b"abc")
        status, start, body = await answer(reader)
        assert status == 417
        assert b"\r\nX-Request-ID: mine\r\n" in start
        assert json.loads(body)["http_status_code"] == 417
        assert "100-continue" in json.loads(body)["message"]


async def test_http_1_0_has_no_expectations(service: Any) -> None:
    """The header is as good as none: a 100 would be taken for the answer."""
    async with connected(service) as (reader, writer):
        writer.write(head("200-ok", version="1.0") + b"abc")
        assert (await answer(reader))[::2] == (200, b"got 3")


async def test_a_body_that_is_withheld_is_a_408(service: Any) -> None:
    """After its time, and the connection is closed."""
    async with connected(service) as (reader, writer):
        writer.write(head("100-continue"))
        assert (await answer(reader))[0] == 100
        status, start, _ = await answer(reader)
        assert (status, b"\r\nConnection: close\r\n" in start) == (408, True)
        assert await reader.read() == b""


@pytest.mark.parametrize("pause_s", [0.0, 0.1])
async def test_a_chunk_that_is_none_is_refused(service: Any, pause_s: float) -> None:
    """At once where it comes with the head, after the body's time at the latest where it comes
    later: who reads the body is not told.
    """
    start = b"POST / HTTP/1.1\r\nHost: x\r\nx-api-key: good\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with connected(service) as (reader, writer):
        writer.write(start)
        await asyncio.sleep(pause_s)
        writer.write(b'5\r\n{"a":\r\nZZ\r\n')
        async with asyncio.timeout(5):
            assert (await answer(reader))[0] == (408 if pause_s else 400)
            assert await reader.read() == b""


@pytest.mark.parametrize(
    "lost",
    [
        ConnectionResetError("reset"),
        OSError(errno.EHOSTUNREACH, "no route"),
        TimeoutError(errno.ETIMEDOUT, "timed out"),
        ApiError(408, "http_client_error", "what a TimeoutError becomes"),
    ],
    ids=["reset", "unreachable", "timed out", "408"],
)
@pytest.mark.parametrize("is_there", [True, False])
async def test_a_connection_that_is_lost_is_no_fault_of_ours(
    service: Any, lost: Exception, is_there: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """However the system calls it, nothing is logged; the same error with the client there is."""
    answers, _ = service
    done = asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        if not is_there:
            request.transport.abort()  # what the system does when a connection is lost
        try:
            raise lost
        finally:
            asyncio.get_running_loop().call_later(0.1, done.set)

    app = web.Application()
    app.add_routes([web.get("/", answers.answering(handle))])
    runner = Runner(app, head_timeout_s=30, keepalive_timeout_s=30, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
    with caplog.at_level(logging.INFO):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await done.wait()
    refused = [record for record in caplog.records if record.msg.startswith("refused")]
    assert len(refused) == is_there
    if is_there:
        assert (await answer(reader))[0] == (408 if isinstance(lost, ApiError) else 500)
    writer.close()
    await runner.cleanup()
