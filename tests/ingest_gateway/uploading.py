"""Uploads for tests: events in every form and encoding, and what is in the log then."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import ClientSession
from backports import zstd

from deploy.embedded.log.source import SqliteSource
from schemas.record import Record

IN_CHUNKS = 64 * 1024
BULK = "/v1/events/bulk"
NDJSON = "application/x-ndjson"
PACKERS: Mapping[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
}


def event(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "event_name": "n",
        "external_customer_id": "c",
        "event_id": f"e{number}",
        "properties": {"a": 'x},{"event_name"', "n": [number, {"m": 1}]},
        **fields,
    }


def unnamed(number: int) -> dict[str, Any]:
    made = event(number)
    del made["event_id"]
    return made


def lines(events: Iterable[Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in events)


def array(events: Iterable[Any]) -> bytes:
    return json.dumps(list(events)).encode()


def bulk_object(events: Iterable[Any]) -> bytes:
    return json.dumps({"events": list(events)}).encode()


# A form's content type, how it is written, and how it names an event: the word, the first number.
FORMS: Mapping[str, tuple[str, Callable[[Iterable[Any]], bytes], str, int]] = {
    "lines": (NDJSON, lines, "line", 1),
    "array": ("application/json", array, "index", 0),
    "object": ("application/json", bulk_object, "index", 0),
}


async def upload(
    session: ClientSession,
    body: bytes | AsyncIterator[bytes],
    content_type: str = NDJSON,
    query: str = "",
    **headers: str,
) -> tuple[int, Any]:
    """Send a bulk; give status and answer."""
    data = io.BytesIO(body) if isinstance(body, bytes) else body
    sent = {"Content-Type": content_type, **headers}
    async with session.post(BULK + query, data=data, headers=sent) as response:
        return response.status, await response.json()


async def eventually(is_so: Callable[[], Any], within_s: float = 10.0) -> None:
    """Wait until it is so, on this loop; a coroutine function is awaited."""
    async with asyncio.timeout(within_s):
        while True:
            answer = is_so()
            if await answer if isinstance(answer, Awaitable) else answer:
                return
            await asyncio.sleep(0.01)


async def log_of(directory: Path) -> list[dict[str, Any]]:
    """Give every event in the log, each partition's in its order."""
    source = SqliteSource(directory)
    await source.open()
    found = []
    try:
        while records := await source.fetch(max_records=100_000, max_bytes=1 << 26, timeout_s=0.05):
            found += [json.loads(record.value) for record in records]
    finally:
        await source.close()
    return found


async def ids_in_log(directory: Path) -> set[str]:
    found = [one["event_id"] for one in await log_of(directory)]
    assert len(found) == len(set(found))
    return set(found)


async def chunks(body: bytes, size: int = IN_CHUNKS) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


class Log:
    """An `EventLog` that keeps what it is given, fails at the appends it is told to, and waits in
    those it is told to until it may go on.
    """

    def __init__(self, fail: dict[int, Exception] | None = None, hold: int | None = None) -> None:
        self.fail = fail or {}
        self.hold = hold
        self.go_on = asyncio.Event()
        self.appends = self.at_once = self.most_at_once = 0
        self.keys: list[bytes] = []
        self.failed_keys: list[bytes] = []

    async def append(self, records: Sequence[Record], *, timeout_s: float) -> None:
        number, self.appends = self.appends, self.appends + 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if number == self.hold:
                await self.go_on.wait()
            await asyncio.sleep(0)
            if number in self.fail:
                self.failed_keys += [record.key for record in records]
                raise self.fail[number]
            self.keys += [record.key for record in records]
        finally:
            self.at_once -= 1

    def trouble(self) -> str | None:
        return None
