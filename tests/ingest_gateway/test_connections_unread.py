"""Connections that hold memory: answers that nobody reads, heads without end, heads sent ahead."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from ingest_gateway.connections import Connection, Runner

MIB = 1 << 20
ANSWER = b"x" * (8 * MIB)
MAX_HEAD_BYTES = 64 * 1024
LARGE = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
SMALL = b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n"


class Serving:
    """A server on a free port, and the connections that it has."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.port: int = runner.addresses[0][1]
        self.answered = 0
        self.go_on = asyncio.Event()

    def connections(self) -> list[Connection]:
        server = super(Runner, self._runner).server
        assert server is not None
        return [one for one in server.connections if isinstance(one, Connection)]

    async def client(self) -> socket.socket:
        """A connection that holds little on the client's side, and reads only when told to."""
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self.port))
        return raw

    async def until_open(self, count: int, within_s: float = 10.0) -> None:
        async with asyncio.timeout(within_s):
            while len(self.connections()) != count:  # noqa: ASYNC110 (what another task does)
                await asyncio.sleep(0.02)


@asynccontextmanager
async def serving(*, answer_s: float = 0.5, head_s: float = 30.0) -> AsyncIterator[Serving]:
    app = web.Application(client_max_size=1 << 30)

    async def large(_request: web.Request) -> web.Response:
        return web.Response(body=ANSWER)

    async def small(request: web.Request) -> web.Response:
        await request.read()
        served.answered += 1
        return web.Response(body=b"small")

    async def waiting(_request: web.Request) -> web.Response:
        await served.go_on.wait()
        return web.Response(body=b"waited")

    app.add_routes([web.get("/large", large), web.get("/waiting", waiting)])
    app.add_routes([web.route("*", "/small", small)])
    runner = Runner(
        app,
        head_timeout_s=head_s,
        keepalive_timeout_s=30.0,
        shutdown_timeout=1.0,
        answer_timeout_s=answer_s,
        max_head_bytes=MAX_HEAD_BYTES,
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served = Serving(runner)
    try:
        yield served
    finally:
        served.go_on.set()
        await runner.cleanup()


async def test_an_answer_that_nobody_reads_is_given_up() -> None:
    """The connection is gone, and what waited in it."""
    async with serving() as server:
        raw = await server.client()
        await asyncio.get_running_loop().sock_sendall(raw, LARGE)
        await server.until_open(1)
        await server.until_open(0, within_s=5)
        raw.close()


async def test_an_answer_that_is_sipped_at_is_given_up() -> None:
    """A little now and then is no reading: it would hold megabytes for days."""
    loop = asyncio.get_running_loop()
    async with serving() as server:
        raw = await server.client()
        await loop.sock_sendall(raw, LARGE)
        await server.until_open(1)

        async def sip() -> None:
            while await loop.sock_recv(raw, 1600):  # noqa: ASYNC110 (the other side is the server)
                await asyncio.sleep(0.1)

        sipping = asyncio.create_task(sip())
        await server.until_open(0, within_s=10)
        sipping.cancel()
        await asyncio.wait((sipping,))
        raw.close()


async def test_an_answer_that_is_read_slowly_is_not_cut() -> None:
    """It takes many times what a reader may rest, and comes whole."""
    loop = asyncio.get_running_loop()
    async with serving(answer_s=0.5) as server:
        raw = await server.client()
        await loop.sock_sendall(raw, LARGE)
        got, began_s = 0, loop.time()
        async with asyncio.timeout(30):
            while got < len(ANSWER):
                piece = await loop.sock_recv(raw, 64 * 1024)
                assert piece, f"cut after {got} bytes"
                got += len(piece)
                ahead_s = got / (2.5 * MIB) - (loop.time() - began_s)
                if ahead_s > 0:
                    await asyncio.sleep(ahead_s)
        assert loop.time() - began_s > 2.5
        raw.close()


async def test_answers_that_end_up_in_the_system_do_not_count() -> None:
    """Small ones, read late, on a connection that rests in between: it stays."""
    loop = asyncio.get_running_loop()
    async with serving(answer_s=0.3) as server:
        raw = await server.client()
        for _ in range(3):
            await loop.sock_sendall(raw, SMALL)
            await asyncio.sleep(0.5)
            assert b"small" in await loop.sock_recv(raw, 4096)
        raw.close()


@pytest.mark.parametrize("begin", [b"", b"\r\n\r\n", SMALL])
async def test_a_head_without_end_is_closed_at_its_limit(begin: bytes) -> None:
    """The first of a connection or a later one, long before its time is up."""
    line = b"h: " + b"v" * 8000 + b"\r\n"
    async with serving() as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(begin + SMALL.removesuffix(b"\r\n"))
        sent = 0
        with suppress(ConnectionError):
            while sent < MIB:
                writer.write(line)
                await writer.drain()
                sent += len(line)
                await asyncio.sleep(0.002)  # the server's turn: it is in this process
        assert MAX_HEAD_BYTES < sent < MIB // 2
        await server.until_open(0)
        writer.close()


async def test_a_small_head_with_a_large_body_is_no_large_head() -> None:
    """Also where head and body come at once, in one piece or in two, cut anywhere."""
    body = b"\r\n\r\n" + b"b" * MIB
    head = b"POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=MIB)
        for cut in (0, 10, len(head) - 3, len(head) - 1, len(head), len(head) + 2):
            writer.write((head + body)[:cut])
            await writer.drain()
            await asyncio.sleep(0.02)
            writer.write((head + body)[cut:])
            async with asyncio.timeout(10):
                assert b" 200 " in await reader.readuntil(b"small")
        writer.close()


async def test_what_is_sent_ahead_is_not_taken_without_end() -> None:
    """While an answer is on its way, heads behind it are taken up to their limit; the rest stays
    with the sender, and is answered when its turn comes.
    """
    request = SMALL.removesuffix(b"\r\n") + b"h: " + b"v" * 8000 + b"\r\n\r\n"
    count = 500
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(SMALL.replace(b"small", b"waiting"))
        sent = 0

        async def send() -> None:
            nonlocal sent
            for _ in range(count):
                writer.write(request)
                await writer.drain()
                sent += len(request)

        sending = asyncio.create_task(send())
        await asyncio.sleep(0.5)  # nothing tells that no more is taken
        (connection,) = server.connections()
        assert connection._head_bytes <= MAX_HEAD_BYTES + 256 * 1024
        assert not connection.transport.is_reading()
        server.go_on.set()
        async with asyncio.timeout(20):
            await reader.readuntil(b"waited")
            for _ in range(count):
                await reader.readuntil(b"small")
            await sending
        assert server.answered == count
        writer.close()


async def test_a_body_behind_a_long_row_of_heads_is_read() -> None:
    """Its head was taken before the limit, and its end comes after."""
    body = b"b" * MIB
    heads = SMALL.removesuffix(b"\r\n") + b"h: " + b"v" * 8000 + b"\r\n\r\n"
    post = b"POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(SMALL.replace(b"small", b"waiting"))
        await asyncio.sleep(0.1)
        writer.write(heads * 10 + post)
        await asyncio.sleep(0.3)
        (connection,) = server.connections()
        assert not connection.transport.is_reading()
        server.go_on.set()
        writer.write(body + SMALL)
        async with asyncio.timeout(10):
            await reader.readuntil(b"waited")
            for _ in range(12):
                await reader.readuntil(b"small")
        assert server.answered == 12
        writer.close()
