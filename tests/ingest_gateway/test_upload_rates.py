"""An upload and the limits of its key: what it is charged, how long it waits, and who gets in
beside it; and a key that ends in mid-upload.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession

from deploy.embedded.log.events import SqliteEventLog
from ingest_gateway.settings import Settings
from schemas.keys import INGEST, KeyRecord, KeyRing
from tests.ingest_gateway.cloud_events import LEAST
from tests.ingest_gateway.conftest import serving
from tests.ingest_gateway.uploading import (
    BULK,
    NDJSON,
    Log,
    bulk_object,
    chunks,
    event,
    eventually,
    ids_in_log,
    lines,
    upload,
)

PER_S = 1_000


async def send_one(session: ClientSession) -> tuple[int, int]:
    """Send an event; give the status, and the seconds after which to come again."""
    async with session.post("/v1/events", json=event(0, event_id="one")) as response:
        return response.status, int(response.headers.get("Retry-After", "0"))


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        (BULK, "application/json", bulk_object([event(0)] * 3_000 + [{}])),
        (BULK, "application/json", bulk_object([event(0)] * 500 + [{}] + [event(0)] * 2_500)),
        (BULK, "application/json", bulk_object([{"properties": {"a": "x" * 100}}] * 3_001)),
        ("/api/v1/events", "application/cloudevents-batch+json", json.dumps([LEAST] * 3_000 + [1])),
        ("/api/v1/events", "application/json", json.dumps([LEAST] * 3_000 + [{}])),
    ],
    ids=["bulk", "bad in the middle", "large bulk", "batch", "plain array"],
)
async def test_a_bad_bulk_costs_its_events(path: str, content_type: str, body: Any) -> None:
    """They were all looked at: the next request comes too early by what that is worth."""
    raw = gzip.compress(body if isinstance(body, bytes) else body.encode())
    headers = {"Content-Type": content_type, "Content-Encoding": "gzip"}
    async with serving(Log(), Settings(max_events_per_s_per_key=PER_S)) as session:
        async with session.post(path, data=raw, headers=headers) as response:
            assert response.status == 400
        status, retry_after_s = await send_one(session)
    assert (status, retry_after_s) == (429, 3 - 1)  # a second's worth was in the bucket


async def test_who_comes_again_when_told_gets_in_beside_a_stream() -> None:
    """A stream of the same key leaves room: after a 429 and the wait that it asks for, a 202."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield lines(event(number) for number in range(PER_S))

    refused = 0
    async with serving(Log(), Settings(max_events_per_s_per_key=PER_S)) as session:
        streaming = asyncio.create_task(upload(session, endless()))
        deadline = time.monotonic() + 15
        while refused < 3 and time.monotonic() < deadline:
            status, retry_after_s = await send_one(session)
            if status == 429:
                refused += 1
                await asyncio.sleep(retry_after_s)
                assert (await send_one(session))[0] == 202
            await asyncio.sleep(0.1)
        assert not streaming.done()
        streaming.cancel()
        with suppress(asyncio.CancelledError):
            await streaming
    assert refused == 3


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}], ids=["no key", "a key"])
async def test_a_stream_that_would_wait_long_is_a_429_that_says_where(
    headers: dict[str, str], log: SqliteEventLog, tmp_path: Path
) -> None:
    """Nobody is left without a word for a minute: what was read is in the log, the rest is told,
    and goes on from there when the time has come.
    """
    body = lines(event(number) for number in range(3_000))
    started_at = time.monotonic()
    sent = {"Content-Type": NDJSON, **headers}
    async with (
        serving(log, Settings(max_events_per_s_per_key=10)) as session,
        session.post(BULK, data=chunks(body), headers=sent) as response,
    ):
        answer = await response.json()
    details = answer["details"]
    assert time.monotonic() - started_at < 5
    assert (response.status, details["limit"], details["value"]) == (429, "events_per_s", 10)
    assert details["accepted"] > 100
    assert details["line"] == details["accepted"] + 1
    assert int(response.headers["Retry-After"]) == pytest.approx(details["accepted"] / 10, abs=3)
    under = " under another Idempotency-Key" if headers else ""
    assert answer["message"].endswith(f"go on from line {details['line']}{under}")
    assert await ids_in_log(tmp_path) == {f"e{at}" for at in range(details["accepted"])}


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"revoked_at": "2026-01-01T00:00:00Z"}, 401, "revoked"),
        ({"expires_at": "2026-01-01T00:00:00Z"}, 401, "expired"),
        ({"scopes": ("read",)}, 403, "scope"),
        ({"events_per_s": 1.0}, 429, "events_per_s of 1"),
    ],
    ids=["revoked", "expired", "no scope", "new limit"],
)
async def test_a_key_that_ends_ends_its_upload(
    change: dict[str, Any], status: int, word: str, log: SqliteEventLog, tmp_path: Path
) -> None:
    """What came before is accepted, what comes after is not, and the answer says where that is."""
    ring, changed = KeyRing(), asyncio.Event()
    part = 3_000

    async def body() -> AsyncIterator[bytes]:
        yield lines(event(number) for number in range(part))
        await changed.wait()
        yield lines(event(number) for number in range(part, 2 * part))

    async with serving(log, Settings(), ring) as session:
        record: KeyRecord = ring.caller_of(session.headers, INGEST)
        uploading = asyncio.create_task(upload(session, body()))

        async def has_begun() -> bool:
            return len(await ids_in_log(tmp_path)) >= 2_000

        await eventually(has_begun)
        ring.apply(msgspec.structs.replace(record, **change))
        changed.set()
        got, answer = await uploading
    details = answer["details"]
    assert (got, word in answer["message"]) == (status, True)
    assert details["line"] == details["accepted"] + 1
    assert f"go on from line {details['line']}" in answer["message"]
    least, most = (part, part) if status != 429 else (part + 1, 2 * part)
    assert least <= details["accepted"] <= most
    assert len(await ids_in_log(tmp_path)) == details["accepted"]
