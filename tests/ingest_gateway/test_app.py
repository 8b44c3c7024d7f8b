"""The gateway over HTTP: what is answered, and what is in the log then."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from deploy.embedded.log.events import SqliteEventLog
from deploy.embedded.log.source import SqliteSource
from ingest_gateway.errors import NotStored, OutcomeUnknown
from ingest_gateway.settings import Settings
from schemas.event import MAX_BODY_BYTES
from schemas.record import FORMAT, FORMAT_HEADER, LogRecord, Record
from tests.ingest_gateway.conftest import serving

EVENT = {"event_name": "n", "external_customer_id": "c", "event_id": "x"}


async def in_log(directory: Path) -> list[LogRecord]:
    source = SqliteSource(directory)
    await source.open()
    try:
        return await source.fetch(max_records=100_000, max_bytes=1 << 20, timeout_s=0.05)
    finally:
        await source.close()


async def post(session: ClientSession, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
    async with session.post(path, data=data, headers=headers) as response:
        assert response.headers["Content-Type"] == "application/json"
        return response.status, await response.json()


async def test_a_202_means_the_event_is_in_the_log(log: SqliteEventLog, tmp_path: Path) -> None:
    """One event, with our format header, under its tenant and ID, before the answer came."""
    async with serving(log, Settings()) as session:
        status, answer = await post(session, "/v1/events", EVENT)
        (record,) = await in_log(tmp_path)
    assert (status, answer["event_id"]) == (202, "x")
    assert record.key == b"acme\0x"
    assert record.headers[FORMAT_HEADER] == FORMAT
    assert json.loads(record.value)["tenant"] == "acme"


async def test_a_bulk_is_all_or_nothing(log: SqliteEventLog, tmp_path: Path) -> None:
    """One bad event, and none is in the log; without it, all are."""
    events = [{**EVENT, "event_id": str(number)} for number in range(100)]
    async with serving(log, Settings()) as session:
        bad = [*events, {**EVENT, "event_name": ""}]
        status, answer = await post(session, "/v1/events/bulk", {"events": bad})
        assert (status, answer["details"]["errors"][0]["index"]) == (400, 100)
        assert await in_log(tmp_path) == []
        assert await post(session, "/v1/events/bulk", {"events": events}) == (
            202,
            {"message": "Events accepted for processing"},
        )
        assert len(await in_log(tmp_path)) == 100


async def test_a_body_over_the_limit_is_a_413(log: SqliteEventLog, tmp_path: Path) -> None:
    """Declared or not, and counted after decoding: 32 MiB is the limit, and nothing is kept."""
    body = json.dumps({"events": [EVENT]}).encode() + b" " * MAX_BODY_BYTES

    async def in_chunks() -> Any:
        for start in range(0, len(body), 1 << 20):
            yield body[start : start + (1 << 20)]

    async with serving(log, Settings()) as session:
        status, answer = await post(session, "/v1/events/bulk", body)
        assert (status, answer["http_status_code"]) == (413, 413)
        assert "32 MiB" in answer["message"]
        async with session.post("/v1/events/bulk", data=in_chunks()) as response:
            assert response.status == 413
        packed = gzip.compress(body, 1)
        status, _ = await post(session, "/v1/events/bulk", packed, **{"Content-Encoding": "gzip"})
        assert status == 413
    assert await in_log(tmp_path) == []


async def test_a_body_of_exactly_the_limit_is_taken(log: SqliteEventLog, tmp_path: Path) -> None:
    """The limit itself is allowed."""
    start = json.dumps({"events": [EVENT]}).encode()
    async with serving(log, Settings()) as session:
        body = start + b" " * (MAX_BODY_BYTES - len(start))
        assert (await post(session, "/v1/events/bulk", body))[0] == 202
    assert len(await in_log(tmp_path)) == 1


async def test_encodings(log: SqliteEventLog) -> None:
    """Gzip is read, a corrupt one is a 400, an encoding that we don't know a 415."""
    packed = gzip.compress(json.dumps(EVENT).encode())
    async with serving(log, Settings()) as session:
        encoded = {"Content-Encoding": "gzip"}
        assert (await post(session, "/v1/events", packed, **encoded))[0] == 202
        assert (await post(session, "/v1/events", packed[:-9] + b"garbage!!", **encoded))[0] == 400
        encoded = {"Content-Encoding": "snappy"}
        status, answer = await post(session, "/v1/events", packed, **encoded)
        assert status == 415
        assert "snappy" in answer["message"]


async def test_no_room_is_a_503_not_stored(log: SqliteEventLog, tmp_path: Path) -> None:
    """Over the limit on bytes in flight nothing is queued: the sender hears it at once."""
    async with serving(log, Settings(max_bytes_in_flight=10)) as session:
        async with session.post("/v1/events", json=EVENT) as response:
            answer = await response.json()
            assert response.headers["Retry-After"] == "1"
        assert (response.status, answer["details"]["outcome"]) == (503, "not_stored")
    assert await in_log(tmp_path) == []


async def test_a_stalled_sender_gives_its_room_back(log: SqliteEventLog) -> None:
    """A body that does not come on is a 408, and others are served again."""

    async def stalled() -> AsyncIterator[bytes]:
        yield b'{"event_name":"' + b"n" * 600
        await asyncio.sleep(3)

    async with serving(log, Settings(max_bytes_in_flight=1000, body_timeout_s=1)) as session:
        stalling = asyncio.create_task(session.post("/v1/events", data=stalled()))
        await asyncio.sleep(0.3)
        assert (await post(session, "/v1/events", {**EVENT, "source": "s" * 400}))[0] == 503
        async with await stalling as response:
            assert response.status == 408
        assert (await post(session, "/v1/events", {**EVENT, "source": "s" * 200}))[0] == 202


class FailingLog:
    """An `EventLog` that fails as it is told to."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def append(self, records: Sequence[Record], *, timeout_s: float) -> None:
        raise self.error

    def trouble(self) -> str | None:
        return str(self.error)


@pytest.mark.parametrize(
    ("error", "outcome"), [(NotStored("full"), "not_stored"), (OutcomeUnknown("slow"), "unknown")]
)
async def test_a_log_that_fails_is_a_503_with_the_outcome(error: Exception, outcome: str) -> None:
    """The sender hears what may be relied on, and the IDs that we made, to send them again."""
    unnamed = {name: EVENT[name] for name in ("event_name", "external_customer_id")}
    async with serving(FailingLog(error), Settings()) as session:
        status, answer = await post(session, "/v1/events/bulk", {"events": [EVENT, unnamed]})
        assert (status, answer["details"]["outcome"]) == (503, outcome)
        assert len(answer["details"].get("event_ids", [])) == (outcome == "unknown")
        async with session.get("/ingest/readyz") as response:
            assert response.status == 503
        async with session.get("/ingest/livez") as response:
            assert response.status == 200


async def test_an_unforeseen_failure_is_a_500_without_internals() -> None:
    """The sender reads our error shape; the traceback stays in our log."""
    async with serving(FailingLog(ZeroDivisionError("secret")), Settings()) as session:
        status, answer = await post(session, "/v1/events", EVENT)
    assert (status, answer["code"]) == (500, "internal_error")
    assert "secret" not in json.dumps(answer)


async def test_no_key_is_a_401_before_the_body_is_read(log: SqliteEventLog) -> None:
    """A stranger can't make the gateway read 32 MiB."""
    async with serving(log, Settings(max_bytes_in_flight=1)) as session:
        status, answer = await post(session, "/v1/events", EVENT, **{"x-api-key": "tally_wrong"})
    assert (status, answer["code"]) == (401, "permission_denied")


async def test_many_senders_at_once(log: SqliteEventLog, tmp_path: Path) -> None:
    """Each of many requests at once is answered, and all of them are in the log."""
    async with serving(log, Settings()) as session:
        answers = await asyncio.gather(
            *(post(session, "/v1/events", {**EVENT, "event_id": str(n)}) for n in range(200))
        )
    assert {status for status, _ in answers} == {202}
    assert len({record.key for record in await in_log(tmp_path)}) == 200


async def test_a_record_tells_whence_it_came(log: SqliteEventLog, tmp_path: Path) -> None:
    """Dialect, content type, request ID and trace travel in its headers; no key, nothing else. A
    request ID that is no good is replaced, and the answer tells by which.
    """
    headers = {"X-Request-ID": "req-7", "traceparent": "00-4bf92f-00f067-01", "x-other": "y"}
    async with serving(log, Settings()) as session:
        assert (await post(session, "/v1/events", EVENT, **headers))[0] == 202
        too_long = {"X-Request-ID": "x" * 500}
        async with session.post("/v1/events", json=EVENT, headers=too_long) as response:
            assert response.status == 202
            made = response.headers["X-Request-ID"]
    first, second = sorted(await in_log(tmp_path), key=lambda one: -len(one.headers))
    ours = {
        "tally-format": b"1",
        "tally-dialect": b"flexprice",
        "content-type": b"application/json",
    }
    assert first.headers == {
        **ours,
        "x-request-id": b"req-7",
        "traceparent": b"00-4bf92f-00f067-01",
    }
    assert second.headers == {**ours, "x-request-id": made.encode()}
