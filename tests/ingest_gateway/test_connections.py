"""Connections that would be held for nothing, over real sockets."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from ingest_gateway.connections import Runner

HEAD = b"GET /fast HTTP/1.1\r\nHost: x\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def fast(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


async def slow(_request: web.Request) -> web.Response:
    await asyncio.sleep(1.2)
    return web.Response(body=b"slow")


async def refuse(_request: web.Request) -> web.Response:
    return web.Response(status=429, body=b"no")


@asynccontextmanager
async def serving(*, head_s: float = 0.4, keepalive_s: float = 30.0) -> AsyncIterator[int]:
    """Serve on a free port, and give it."""
    app = web.Application(client_max_size=1 << 30)
    app.add_routes([web.route("*", "/fast", fast), web.get("/slow", slow)])
    app.add_routes([web.post("/refuse", refuse)])
    runner = Runner(
        app, head_timeout_s=head_s, keepalive_timeout_s=keepalive_s, shutdown_timeout=1.0
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def connected(port: int) -> Streams:
    return await asyncio.open_connection("127.0.0.1", port)


async def closed_after(reader: asyncio.StreamReader, *, within_s: float = 10.0) -> float:
    """Wait until the other side closes, and give how many seconds that took."""
    start = time.monotonic()
    async with asyncio.timeout(within_s):
        try:
            while await reader.read(1 << 16):
                pass
        except ConnectionError:
            pass
    return time.monotonic() - start


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read one answer: its head and its body."""
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = [
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ]
        return head, await reader.readexactly(length)


async def test_a_connection_that_sends_nothing_is_closed() -> None:
    """It has the time of a head, not aiohttp's hour."""
    async with serving() as port:
        reader, writer = await connected(port)
        assert 0.3 <= await closed_after(reader) < 5
        writer.close()


async def test_a_head_that_trickles_is_not_waited_for() -> None:
    """The time counts from the first byte to the end; a byte now and then does not renew it."""
    async with serving() as port:
        reader, writer = await connected(port)
        closing = asyncio.create_task(closed_after(reader))
        for byte in HEAD[:-1]:
            if closing.done():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
        assert 0.3 <= await closing < 1.5
        writer.close()


async def test_an_idle_connection_is_kept_and_the_next_head_has_its_own_time() -> None:
    """Between requests the keep-alive counts; from a further head's first byte the head's time."""
    async with serving() as port:
        reader, writer = await connected(port)
        writer.write(HEAD)
        await answer(reader)
        await asyncio.sleep(1.0)  # longer than a head may take
        writer.write(HEAD)
        await answer(reader)
        writer.write(HEAD[:5])
        assert 0.3 <= await closed_after(reader) < 5
        writer.close()


async def test_an_idle_connection_is_closed_in_the_end() -> None:
    """After the keep-alive, and not before."""
    async with serving(head_s=30.0, keepalive_s=0.5) as port:
        reader, writer = await connected(port)
        writer.write(HEAD)
        await answer(reader)
        assert 0.4 <= await closed_after(reader) < 5
        writer.close()


async def test_a_request_that_takes_long_is_not_cut() -> None:
    """Nor those that were sent behind it meanwhile, whole or in part: their turn has not come."""
    async with serving() as port:
        reader, writer = await connected(port)
        writer.write(HEAD.replace(b"fast", b"slow"))
        await asyncio.sleep(0.1)
        writer.write(HEAD)
        assert (await answer(reader))[1] == b"slow"
        assert (await answer(reader))[1] == b""
        writer.close()


async def test_a_body_has_a_time_of_its_own() -> None:
    """The head's time ends with the head."""
    async with serving() as port:
        reader, writer = await connected(port)
        writer.write(b"POST /fast HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(0.1)
            writer.write(b"x")
        assert (await answer(reader))[1] == b"x" * 10
        writer.close()


async def push(writer: asyncio.StreamWriter, piece: bytes, pieces: int) -> int:
    """Send this often, or until the other side has had enough; give the bytes that it took."""
    sent = 0
    try:
        async with asyncio.timeout(10):
            for _ in range(pieces):
                writer.write(piece)
                await writer.drain()
                sent += len(piece)
    except ConnectionError:
        pass
    return sent


@pytest.mark.parametrize("framing", ["Content-Length: 268435456", "Transfer-Encoding: chunked"])
async def test_a_large_body_that_is_refused_is_not_read(framing: str) -> None:
    """The sender hears the refusal at once, and soon the connection is gone; of 256 MiB no more
    is taken than what the two systems' buffers hold.
    """
    async with serving(head_s=30.0) as port:
        reader, writer = await connected(port)
        writer.write(f"POST /refuse HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode())
        head, _ = await answer(reader)
        assert b" 429 " in head
        assert (b"Connection: close" in head) == framing.startswith("Content-Length")
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        piece = chunk if "chunked" in framing else b" " * 65536
        start = time.monotonic()
        sent = await push(writer, piece, 4096)
        assert sent < 32 << 20
        await closed_after(reader)
        assert time.monotonic() - start < 8
        writer.close()


@pytest.mark.parametrize("size", [0, 100, 60_000])
async def test_a_small_body_that_is_refused_costs_no_connection(size: int) -> None:
    """The rest of it is read past, and the next request comes on the same connection."""
    async with serving() as port:
        reader, writer = await connected(port)
        for _ in range(3):
            writer.write(
                b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (size + 1)
            )
            head, _ = await answer(reader)
            assert b" 429 " in head
            assert b"close" not in head
            writer.write(b"x" * (size + 1))
        await asyncio.sleep(0.6)  # longer than a head may take: that body was none
        writer.write(HEAD)
        assert b" 200 " in (await answer(reader))[0]
        writer.close()


def test_a_process_opens_as_many_files_as_it_may() -> None:
    """The soft limit goes up to the hard one; where that is low, the log says so."""
    code = (
        "import logging, resource, sys\n"
        "logging.basicConfig()\n"
        "from ingest_gateway.process import raise_open_files\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, int(sys.argv[1])))\n"
        "raise_open_files()\n"
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    )
    for hard, warns in ((9000, False), (1000, True)):
        ran = subprocess.run(
            [sys.executable, "-c", code, str(hard)], capture_output=True, text=True, check=True
        )
        assert ran.stdout.split() == [str(hard)] * 2
        assert ("ulimit -n" in ran.stderr) == warns


async def test_a_connect_without_a_target_is_answered() -> None:
    """No URL is made of it, on which aiohttp itself would fail: it is a wrong path, a 404."""
    async with serving() as port:
        reader, writer = await connected(port)
        writer.write(b"CONNECT    \r\nHost: x\r\n\r\n")
        head, _ = await answer(reader)
        assert b" 404 " in head.split(b"\r\n")[0]
        writer.close()
