"""The gateway's own limits, seen through the router: it adds none and hides none."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.log.events import SqliteEventLog
from ingest_gateway.app import Gateway, application
from ingest_gateway.settings import Settings
from schemas.event import MAX_BODY_BYTES
from schemas.keys import KeyRing, make_key
from tests.support.router import Router

MIB = 1 << 20
BULK = "/v1/events/bulk"


@pytest.fixture
async def api_key(router: Router, tmp_path: Path) -> AsyncIterator[str]:
    """A key for the real gateway, which runs behind the router over a log of its own."""
    ring, made = KeyRing(), make_key("acme", "")
    ring.apply(made.record)
    log = SqliteEventLog(tmp_path / "log")
    replica = router.replica("gateway")
    await replica.start(application(Gateway(log, ring, Settings(body_timeout_s=1.0))))
    await router.scale("gateway", replica)
    yield made.api_key
    await replica.stop()
    await log.close()


def bulk(size_bytes: int) -> bytes:
    """A good bulk of at least this size."""
    event = {
        "event_name": "api.request",
        "external_customer_id": "acme",
        "properties": {"filler": "x" * 50_000},
    }
    text = json.dumps(event)
    return ('{"events":[' + ",".join([text] * (size_bytes // len(text) + 1)) + "]}").encode()


def send(
    router: Router, api_key: str, body: bytes | Iterator[bytes], **headers: str
) -> tuple[int, Any]:
    """Send as the standard library does, which reads no answer before all is sent."""
    connection = http.client.HTTPConnection("127.0.0.1", router.port, timeout=20)
    try:
        connection.request("POST", BULK, body, {"x-api-key": api_key, **headers})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


async def test_a_bulk_of_30_mib_is_taken(router: Router, api_key: str) -> None:
    """Nothing between client and gateway has a lower limit than the gateway."""
    body = bulk(30 * MIB)
    assert 30 * MIB < len(body) < MAX_BODY_BYTES
    status, answer = await asyncio.to_thread(send, router, api_key, body)
    assert (status, answer) == (202, {"message": "Events accepted for processing"})


@pytest.mark.parametrize("kind", ["length", "chunked", "gzip"])
async def test_too_large_a_bulk_is_the_gateways_413(
    router: Router, api_key: str, kind: str
) -> None:
    """The client hears it, though the answer comes before the body's end."""
    body, headers = bulk(MAX_BODY_BYTES), {}
    sent: bytes | Iterator[bytes] = body
    if kind == "chunked":
        sent = iter([body[at : at + MIB] for at in range(0, len(body), MIB)])
    elif kind == "gzip":
        sent, headers = gzip.compress(body, 1), {"Content-Encoding": "gzip"}
    status, answer = await asyncio.to_thread(send, router, api_key, sent, **headers)
    assert (status, answer["code"]) == (413, "http_client_error")
    assert "32 MiB" in answer["message"]


async def test_a_body_that_stalls_is_the_gateways_408(router: Router, api_key: str) -> None:
    """The gateway's patience counts, not the router's, and its words arrive."""
    reader, writer = await asyncio.open_connection("127.0.0.1", router.port)
    head = [f"POST {BULK} HTTP/1.1", "Host: tally", f"x-api-key: {api_key}", "Content-Length: 9"]
    writer.write("\r\n".join([*head, "", "{"]).encode())
    async with asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        await reader.readuntil(b"within 1 s")
    writer.close()
