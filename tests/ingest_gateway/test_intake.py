"""What every dialect shares: an Idempotency-Key makes the IDs that a sender left out."""

from __future__ import annotations

import asyncio
import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from deploy.embedded.log.events import SqliteEventLog
from deploy.embedded.log.source import SqliteSource
from ingest_gateway.settings import Settings
from schemas.event import idempotent_event_id
from tests.ingest_gateway.conftest import serving

KEY = "Idempotency-Key"
EVENT = {"event_name": "n", "external_customer_id": "c"}
SEQUENCE_EVENT = {"customerAlias": "c", "eventType": "n", "eventProperties": {}}
# Made by `idempotent_event_id` for "acme", "retry-1" and the places 0 to 2.
FIRST = "860798ef-5e68-5a87-90b9-62e5f33c4b2f"
SECOND = "b20ae098-3c07-5ec2-a787-4132968e4c6a"


@pytest.mark.unit
def test_the_ids_are_a_contract() -> None:
    """Known values: a change of them would count twice what is retried across it."""
    assert idempotent_event_id("acme", "retry-1", 0) == FIRST
    assert idempotent_event_id("acme", "retry-1", 1) == SECOND
    assert idempotent_event_id("other", "retry-1", 0) == "9c3fccf1-bfb8-5441-9a79-5feca301cb93"


async def ids_in_log(directory: Path) -> list[str]:
    """The event ID of each record, in the order of the log's partitions."""
    source = SqliteSource(directory)
    await source.open()
    try:
        records = await source.fetch(max_records=1000, max_bytes=1 << 20, timeout_s=0.05)
    finally:
        await source.close()
    return sorted(record.key.partition(b"\0")[2].decode() for record in records)


async def send(
    session: ClientSession, path: str, body: Any, key: str | None = "retry-1", **headers: str
) -> tuple[int, Any]:
    """Send JSON, or bytes as they are; give status and the answer's JSON."""
    if key is not None:
        headers[KEY] = key
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with session.post(path, data=data, headers=headers) as response:
        text = await response.read()
        return response.status, json.loads(text) if text else None


async def test_an_event_sent_again_keeps_its_id(log: SqliteEventLog, tmp_path: Path) -> None:
    """The same key gives the same ID, another key another one, and none a new one each time."""
    async with serving(log, Settings()) as session:
        made = [(await send(session, "/v1/events", EVENT))[1]["event_id"] for _ in range(2)]
        assert made == [FIRST, FIRST]
        _, other = await send(session, "/v1/events", EVENT, "retry-2")
        _, one = await send(session, "/v1/events", EVENT, None)
        _, another = await send(session, "/v1/events", EVENT, None)
    ids = [FIRST, FIRST, other["event_id"], one["event_id"], another["event_id"]]
    assert len(set(ids)) == 4
    assert await ids_in_log(tmp_path) == sorted(ids)


@pytest.mark.parametrize("form", ["object", "array", "ndjson"])
async def test_a_bulk_sent_again_keeps_its_ids(
    form: str, log: SqliteEventLog, tmp_path: Path
) -> None:
    """By the place of each event in the request; an ID of the sender's own stays."""
    events = [EVENT, EVENT, {**EVENT, "event_id": "own"}]
    content_type = "application/json"
    body: Any = {"events": events}
    if form == "array":
        body = events
    elif form == "ndjson":
        body = "\n".join(map(json.dumps, events)).encode()
        content_type = "application/x-ndjson"
    async with serving(log, Settings()) as session:
        for _ in range(2):
            headers = {"Content-Type": content_type}
            status, answer = await send(session, "/v1/events/bulk", body, **headers)
            assert status == 202, answer
    assert await ids_in_log(tmp_path) == sorted([FIRST, SECOND, "own"] * 2)


async def test_a_sequence_event_sent_again_keeps_its_event_id(
    log: SqliteEventLog, tmp_path: Path
) -> None:
    """Without a customerEventId the made ID stands for the event, so a retry supersedes it."""
    async with serving(log, Settings()) as session:
        for _ in range(2):
            status, answer = await send(session, "/api/usage-events", SEQUENCE_EVENT)
            assert status == 201, answer
        own = {**SEQUENCE_EVENT, "customerEventId": "own"}
        assert (await send(session, "/api/usage-events", own))[0] == 201
    assert await ids_in_log(tmp_path) == sorted([FIRST, FIRST, "own"])


async def test_dialects_share_the_ids(log: SqliteEventLog, tmp_path: Path) -> None:
    """One key is one request: whatever it is sent as, its first event has the same ID."""
    async with serving(log, Settings()) as session:
        assert (await send(session, "/v1/events", EVENT))[0] == 202
        assert (await send(session, "/v1/events/bulk", {"events": [EVENT]}))[0] == 202
    assert await ids_in_log(tmp_path) == [FIRST, FIRST]


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/bulk", "/api/usage-events"])
@pytest.mark.parametrize("key", ["", "k" * 256, "k\x00", "k\xe9", "\t", "k\x7f"])
async def test_a_key_that_is_none_is_a_400(
    path: str, key: str, log: SqliteEventLog, tmp_path: Path
) -> None:
    """Empty, over 255 characters, or not printable ASCII, as raw bytes: nothing is stored."""
    async with serving(log, Settings()) as session:
        status, answer = await asyncio.to_thread(raw_post, session, path, [key.encode("latin-1")])
    assert status == 400
    if key != "k\x00":  # which is no HTTP
        assert KEY in answer
    assert await ids_in_log(tmp_path) == []


async def test_a_repeated_key_is_a_400(log: SqliteEventLog, tmp_path: Path) -> None:
    """Which of the two would count? Another one behind a proxy that joins or drops them."""
    async with serving(log, Settings()) as session:
        status, answer = await asyncio.to_thread(raw_post, session, "/v1/events", [b"a", b"a"])
    assert (status, KEY in answer) == (400, True)
    assert await ids_in_log(tmp_path) == []


@pytest.mark.parametrize("key", ["k" * 255, " a b ", '"quoted"', "~!@#$%^&*()"])
async def test_a_good_key_is_any_printable_ascii(key: str, log: SqliteEventLog) -> None:
    """Up to 255 characters; HTTP takes away the spaces around it."""
    async with serving(log, Settings()) as session:
        status, answer = await send(session, "/v1/events", EVENT, key)
    assert status == 202
    assert answer["event_id"] == idempotent_event_id("acme", key.strip(), 0)


def raw_post(session: ClientSession, path: str, keys: list[bytes]) -> tuple[int, str]:
    """Send an event with these headers as bytes, which no client library would let through."""
    url = session._base_url
    assert url is not None
    connection = HTTPConnection(str(url.host), url.port, timeout=10)
    try:
        connection.putrequest("POST", path)
        connection.putheader("x-api-key", session.headers["x-api-key"])
        connection.putheader("Content-Type", "application/json")
        for key in keys:
            connection._buffer.append(KEY.encode() + b": " + key)  # type: ignore[attr-defined]
        body = json.dumps(EVENT).encode()
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
