"""What the router answers for itself, in each dialect, and how long it waits."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientSession, web

from schemas.dialects import dialect_of
from schemas.errors import ApiError
from schemas.request_id import current_request_id
from tests.support.router import Replica, Router, running_router

SENDING = ["/v1/events", "/v1/events/bulk", "/api/usage-events", "/api/v1/events"]
READING = ["/v1/events", "/v1/events/query", "/api/usage-events"]
ID = {"X-Request-ID": "mine"}


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[Router]:
    """A router that waits for nobody longer than 2 s."""
    changed = {
        "timeout http-request 10s": "timeout http-request 1s",
        "timeout client 40s": "timeout client 2s",
        "timeout server 40s": "timeout server 2s",
    }
    async with running_router(tmp_path, changed) as running:
        yield running


async def refused(router: Router, method: str, path: str) -> tuple[int, Any]:
    """Ask on a connection of its own; give status and JSON of an answer in the path's dialect."""
    async with (
        ClientSession() as fresh,
        fresh.request(method, router.url + path, data=b"{}", headers=ID) as answer,
    ):
        body = json.loads(await answer.read())
        assert answer.headers["Content-Type"] == dialect_of(path).content_type
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["X-Request-ID"] == "mine"
    current_request_id.set("mine")  # which problem details name
    message = body.get("message") or body["detail"]
    outcome = body.get("details")
    as_we_would = ApiError(answer.status, "service_unavailable", message, details=outcome)
    assert body == json.loads(dialect_of(path).error_body(as_we_would))
    return answer.status, outcome


async def aborting(request: web.Request) -> web.Response:
    """Take all of a request, and cut the connection."""
    await request.read()
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def silent(request: web.Request) -> web.Response:
    """Take all of a request, and say nothing."""
    await request.read()
    await asyncio.sleep(60)
    return web.Response()


async def test_without_services_each_dialect_hears_its_own_503(router: Router) -> None:
    """Shape, type and outcome as the services' own; a read has no outcome."""
    for path in SENDING:
        assert await refused(router, "POST", path) == (503, {"outcome": "not_stored"}), path
    for path in READING:
        method = "POST" if path.endswith("query") else "GET"
        assert await refused(router, method, path) == (503, None), path


async def test_a_service_that_dies_is_each_dialects_502(
    router: Router, gateway: Replica, query: Replica
) -> None:
    """What was sent may be stored; what was asked may be asked again."""
    gateway.handler = query.handler = aborting
    for path in SENDING:
        assert await refused(router, "POST", path) == (502, {"outcome": "unknown"}), path
    for path in READING:
        method = "POST" if path.endswith("query") else "GET"
        assert await refused(router, method, path) == (502, None), path


async def test_a_service_that_is_silent_is_each_dialects_504(hasty: Router) -> None:
    """All at once, each after the time-out."""
    for service in ("gateway", "query"):
        replica = hasty.replica(service)
        await replica.start()
        replica.handler = silent
        await hasty.scale(service, replica)
    answers = await asyncio.gather(
        *(refused(hasty, "POST", path) for path in SENDING),
        refused(hasty, "GET", "/v1/events"),
        refused(hasty, "GET", "/api/usage-events"),
    )
    assert answers == [(504, {"outcome": "unknown"})] * len(SENDING) + [(504, None)] * 2


async def test_the_services_own_errors_pass(router: Router, gateway: Replica) -> None:
    """Bytes, type and ID of a refusal stay as the gateway wrote them."""

    async def refuse(request: web.Request) -> web.Response:
        dialect = dialect_of(request.path)
        body = dialect.error_body(ApiError(400, "validation_error", "no"))
        headers = {"X-Request-ID": "theirs"}
        return web.Response(
            status=400, body=body, content_type=dialect.content_type, headers=headers
        )

    gateway.handler = refuse
    for path in SENDING:
        async with router.session.post(path, data=b"{}", headers=ID) as answer:
            assert answer.status == 400
            assert answer.headers["Content-Type"] == dialect_of(path).content_type
            assert answer.headers.getall("X-Request-ID") == ["theirs"]
            expected = dialect_of(path).error_body(ApiError(400, "validation_error", "no"))
            assert await answer.read() == expected


async def test_an_upload_may_take_longer_than_any_time_out(hasty: Router) -> None:
    """As long as it moves: bytes each half second, over twice the time-outs of either side, and
    each piece is with the gateway before the next is sent.
    """
    gateway = hasty.replica("gateway")
    await gateway.start()
    await hasty.scale("gateway", gateway)
    arrived = asyncio.Queue[bytes]()

    async def take(request: web.Request) -> web.Response:
        async for piece in request.content.iter_any():
            arrived.put_nowait(piece)
        return web.json_response({})

    async def lines() -> AsyncIterator[bytes]:
        for number in range(10):
            yield b"line %d\n" % number
            async with asyncio.timeout(5):
                assert await arrived.get() == b"line %d\n" % number
            await asyncio.sleep(0.5)  # the pace of this sender

    gateway.handler = take
    began = time.monotonic()
    headers = {"Content-Type": "application/x-ndjson"}
    async with hasty.session.post("/v1/events/bulk", data=lines(), headers=headers) as answer:
        assert answer.status == 200
    assert time.monotonic() - began > 2 * 2


async def test_an_upload_that_stalls_is_cut(hasty: Router) -> None:
    """A body of which nothing comes any more holds no connection for ever."""
    gateway = hasty.replica("gateway")
    await gateway.start()
    await hasty.scale("gateway", gateway)

    async def stalling() -> AsyncIterator[bytes]:
        yield b"line\n"
        await asyncio.sleep(30)

    began = time.monotonic()
    with suppress(ClientConnectionError):
        async with hasty.session.post("/v1/events/bulk", data=stalling()) as answer:
            assert answer.status in (408, 504)
    assert time.monotonic() - began < 10


async def test_a_head_that_trickles_is_cut(hasty: Router) -> None:
    """A byte now and then keeps no connection: the whole head has its time, then it is a 408."""

    def trickle() -> bytes:
        with socket.create_connection(("127.0.0.1", hasty.port), timeout=10) as connection:
            connection.sendall(b"POST /v1/events HTTP/1.1\r\nHost: a\r\n")
            connection.settimeout(0.3)
            for _ in range(30):
                try:
                    if answer := connection.recv(65536):
                        return answer
                except TimeoutError:
                    connection.sendall(b"a")
        raise AssertionError("the connection is still open")

    assert (await asyncio.to_thread(trickle)).startswith(b"HTTP/1.1 408 ")
