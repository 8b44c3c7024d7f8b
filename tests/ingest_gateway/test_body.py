"""Bodies that are taken whole: their encodings, limits and times, and how a refusal is heard."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import zlib
from pathlib import Path

import pytest
from aiohttp import ClientSession

from deploy.embedded.log.events import SqliteEventLog
from ingest_gateway.settings import Settings
from tests.ingest_gateway.conftest import serving
from tests.ingest_gateway.uploading import (
    BULK,
    NDJSON,
    PACKERS,
    bulk_object,
    event,
    lines,
    log_of,
    upload,
)

MIB = 1 << 20


async def unfinished(session: ClientSession, head: str, body: bytes) -> bytes:
    """Send bytes, leave the rest of the body out, and give the head of the answer."""
    reader, writer = await connect(session)
    try:
        writer.write(f"{head}\r\nHost: x\r\nx-api-key: {key_of(session)}\r\n\r\n".encode() + body)
        return await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()


async def connect(session: ClientSession) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = session._base_url
    assert url is not None
    return await asyncio.open_connection(url.host, url.port)


def key_of(session: ClientSession) -> str:
    return session.headers["x-api-key"]


async def test_a_body_that_comes_too_slowly_is_a_408(log: SqliteEventLog) -> None:
    """However it stalls, and whatever it is packed in, within the time-out."""
    packed = gzip.compress(json.dumps(event(0)).encode())[:-1]
    length = len(packed) + 1
    head = f"POST /v1/events HTTP/1.1\r\nContent-Length: {length}\r\nContent-Encoding: gzip"
    async with serving(log, Settings(body_timeout_s=0.5)) as session:
        started_at = time.monotonic()
        answer = await unfinished(session, head, packed)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"Connection: close" in answer
    assert 0.4 < time.monotonic() - started_at < 5


async def test_a_whole_body_may_not_dribble_on(log: SqliteEventLog) -> None:
    """Its time-out is for all of it: it is not begun anew by what comes."""
    body = bulk_object(event(number) for number in range(5_000))
    head = f"POST {BULK} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    async with serving(log, Settings(body_timeout_s=1)) as session:
        reader, writer = await connect(session)
        writer.write(f"{head}x-api-key: {key_of(session)}\r\n\r\n".encode())
        answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
        for start in range(0, len(body), 70_000):
            writer.write(body[start : start + 70_000])
            await asyncio.wait((answer,), timeout=0.3)
            if answer.done():
                break
        writer.close()
    assert answer.result().startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("path", ["/v1/events", BULK])
async def test_a_bomb_is_a_413(
    encoding: str, path: str, log: SqliteEventLog, tmp_path: Path
) -> None:
    """64 MiB of blanks: over the limit as soon as 32 MiB have come out."""
    body = PACKERS[encoding](b" " * (64 * MIB))
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    async with serving(log, Settings()) as session:
        started_at = time.monotonic()
        async with session.post(path, data=body, headers=headers) as response:
            answer = await response.json()
        assert time.monotonic() - started_at < 2
    assert (response.status, answer["code"]) == (413, "http_client_error")
    assert "32 MiB" in answer["message"]
    assert await log_of(tmp_path) == []


@pytest.mark.parametrize("path", ["/v1/events", BULK])
async def test_an_encoding_that_is_not_read_is_a_415(path: str, log: SqliteEventLog) -> None:
    """The answer names those that are, in words and in a header."""
    async with serving(log, Settings()) as session:
        for named in ("br", "gzip, gzip"):
            headers = {"Content-Encoding": named}
            async with session.post(path, data=b"x", headers=headers) as response:
                assert response.status == 415
                assert response.headers["Accept-Encoding"] == "gzip, deflate, zstd, identity"
                assert named in (await response.json())["message"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("content_type", [NDJSON, "application/json"])
async def test_a_corrupt_body_is_a_400_in_words(
    encoding: str, content_type: str, log: SqliteEventLog, tmp_path: Path
) -> None:
    """Cut, or not of the encoding at all; whole forms leave nothing in the log."""
    packed = PACKERS[encoding](bulk_object([event(0)]))
    async with serving(log, Settings()) as session:
        for body in (packed[:-3], b"garbage" + packed, packed + b"garbage"):
            headers = {"Content-Encoding": encoding}
            status, answer = await upload(session, body, content_type, **headers)
            assert (status, answer["details"]["field"]) == (400, "Content-Encoding")
            assert encoding in answer["message"]
    assert await log_of(tmp_path) == []


async def test_nothing_is_unpacked_twice(log: SqliteEventLog) -> None:
    """Under aiohttp's own decoding a gzip within a gzip would pass as one."""
    twice = zlib.compress(zlib.compress(lines([event(0)])))
    async with serving(log, Settings()) as session:
        status, _ = await upload(session, twice, **{"Content-Encoding": "deflate"})
    assert status == 400
