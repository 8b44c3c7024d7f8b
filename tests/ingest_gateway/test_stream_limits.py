"""What a streamed upload may cost: time, room, memory, its key's rate, and others' patience."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.log.events import SqliteEventLog
from ingest_gateway.settings import Settings
from tests.ingest_gateway.conftest import serving
from tests.ingest_gateway.uploading import (
    IN_CHUNKS,
    Log,
    chunks,
    event,
    eventually,
    ids_in_log,
    lines,
    upload,
)


async def test_a_sender_that_stalls_is_a_408_with_what_was_accepted(
    log: SqliteEventLog, tmp_path: Path
) -> None:
    """Every 64 KiB must come within the time-out; the whole may take longer."""
    body = lines(event(number) for number in range(3_000))
    assert len(body) > 4 * IN_CHUNKS
    stall = asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        for start in range(0, 4 * IN_CHUNKS, IN_CHUNKS):
            yield body[start : start + IN_CHUNKS]
            await asyncio.sleep(0.4)
        await stall.wait()

    started_at = time.monotonic()
    async with serving(log, Settings(body_timeout_s=1)) as session:
        status, answer = await upload(session, stalls())
        stall.set()
    assert time.monotonic() - started_at > 2
    assert status == 408
    assert "less than 65536 bytes of the body came within 1 s" in answer["message"]
    accepted = answer["details"]["accepted"]
    assert accepted > 1_000
    assert answer["details"]["line"] == accepted + 1
    assert len(await ids_in_log(tmp_path)) == accepted


async def test_a_sender_that_dribbles_is_a_408(log: SqliteEventLog) -> None:
    """A byte now and then is no progress."""

    async def dribbles() -> AsyncIterator[bytes]:
        for byte in lines([event(0)]):
            yield bytes([byte])
            await asyncio.sleep(0.1)

    async with serving(log, Settings(body_timeout_s=1)) as session:
        started_at = time.monotonic()
        status, answer = await upload(session, dribbles())
        assert time.monotonic() - started_at < 5
    assert (status, answer["details"]["accepted"]) == (408, 0)


async def test_two_streams_share_the_room() -> None:
    """Where there is room for one, the other is told, with what it may rely on, and the first is
    not hurt.
    """
    slow = Log(hold=0)
    body = lines(event(number) for number in range(10_000))
    async with serving(slow, Settings(max_bytes_in_flight=1_200_000)) as session:
        first = asyncio.create_task(upload(session, chunks(body)))
        await eventually(lambda: slow.appends == 1)
        status, answer = await upload(session, chunks(body))
        details = answer["details"]
        assert (status, details["outcome"]) == (503, "not_stored")
        assert details["line"] == details["accepted"] + 1
        slow.go_on.set()
        assert (await first)[0] == 202
    assert len(slow.keys) == 10_000 + details["accepted"]


@pytest.mark.parametrize("filler", [b"\n", b" "])
async def test_a_bomb_is_a_413(filler: bytes, log: SqliteEventLog, tmp_path: Path) -> None:
    """Blank lines, or one that is blank and long: 512 MiB of them are not read to its end."""
    block = gzip.compress(filler * (64 << 20))
    body = gzip.compress(lines([event(0)])) + block * 8
    started_at = time.monotonic()
    async with serving(log, Settings()) as session:
        status, answer = await upload(session, body, **{"Content-Encoding": "gzip"})
    assert time.monotonic() - started_at < 5
    assert (status, answer["details"]["accepted"]) == (413, 1)
    assert "more than 200 times its size" in answer["message"]
    assert await ids_in_log(tmp_path) == {"e0"}


async def test_a_stream_waits_for_its_rate(log: SqliteEventLog, tmp_path: Path) -> None:
    """It is not refused in its middle: it goes on when its key is out of debt."""
    settings = Settings(max_events_per_s_per_key=5_000)
    body = lines(event(number) for number in range(10_000))
    started_at = time.monotonic()
    async with serving(log, settings) as session:
        assert (await upload(session, chunks(body)))[0] == 202
    assert time.monotonic() - started_at > 0.8
    assert len(await ids_in_log(tmp_path)) == 10_000


async def test_others_are_served_while_a_stream_is_read(log: SqliteEventLog) -> None:
    """A million bytes a moment do not hold the loop for long."""
    body = lines(event(number) for number in range(50_000))

    async def ask(session: Any) -> float:
        started_at = time.monotonic()
        async with session.get("/ingest/livez") as response:
            assert response.status == 200
        return time.monotonic() - started_at

    async with serving(log, Settings()) as session:
        uploading = asyncio.create_task(upload(session, chunks(body)))
        waits = []
        while not uploading.done():
            waits.append(await ask(session))
        assert uploading.result()[0] == 202
    assert len(waits) > 10
    assert sorted(waits)[len(waits) // 2] < 0.1
