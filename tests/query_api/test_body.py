"""The body of a query over HTTP: its encodings and its limit."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from aiohttp import ClientSession, web
from backports import zstd

from query_api.answers import answering
from query_api.body import MAX_BODY_BYTES, read_body

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
    "identity": bytes,
}


@pytest_asyncio.fixture
async def session() -> AsyncIterator[ClientSession]:
    """A session with a server that answers how many bytes it has read."""

    async def measure(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await read_body(request))))

    app = web.Application()
    app.add_routes([web.post("/", answering(measure))])
    runner = web.AppRunner(app, auto_decompress=False, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as opened:
            yield opened
    finally:
        await runner.cleanup()


async def post(session: ClientSession, body: bytes, encoding: str) -> tuple[int, str, str]:
    """Give status, text and whether the connection stays open."""
    headers = {"Content-Encoding": encoding}
    async with session.post("/", data=io.BytesIO(body), headers=headers) as response:
        return response.status, await response.text(), response.headers.get("Connection", "")


@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize("size", [0, 1, MAX_BODY_BYTES])
async def test_a_body_up_to_the_limit_is_read(
    encoding: str, size: int, session: ClientSession
) -> None:
    """In each encoding, counted as it is unpacked; the connection may be used again."""
    assert await post(session, PACKERS[encoding](bytes(size)), encoding) == (200, str(size), "")


@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 64 << 20])
async def test_a_body_over_the_limit_is_a_413(
    encoding: str, size: int, session: ClientSession
) -> None:
    """A bomb, too."""
    status, text, _ = await post(session, PACKERS[encoding](bytes(size)), encoding)
    assert (status, "1048576 bytes" in text) == (413, True)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
async def test_a_corrupt_body_is_a_400_in_words(encoding: str, session: ClientSession) -> None:
    """Cut, or not of the encoding at all."""
    packed = PACKERS[encoding](b"{}" * 100)
    for body in (packed[:-3], b"garbage", packed + b"garbage"):
        status, text, _ = await post(session, body, encoding)
        assert (status, encoding in text) == (400, True)


async def test_an_encoding_that_is_not_read_is_a_415(session: ClientSession) -> None:
    """The answer names those that are."""
    status, text, _ = await post(session, b"{}", "br")
    assert (status, "gzip, deflate, zstd, identity" in text) == (415, True)
