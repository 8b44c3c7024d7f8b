"""Senders of many kinds: steady ones that measure, and those that hold connections for nothing."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from aiohttp import ClientSession, TCPConnector

EVENT = json.dumps(
    {"event_name": "call", "external_customer_id": "c", "properties": {"bytes": 512}}
).encode()


class Sent(NamedTuple):
    """One request: when it was due (`time.monotonic`), what came back, and how long that took from
    when it was due, so that a stall counts for all that it held up.
    """

    due_s: float
    status: int
    latency_s: float
    retry_after_s: int | None


async def send_steadily(
    url: str,
    api_key: str,
    *,
    per_s: float,
    seconds: float,
    connections: int = 4,
    body: bytes = EVENT,
    path: str = "/v1/events",
) -> list[Sent]:
    """Send at a rate over kept connections, whatever the answers are."""
    headers = {"x-api-key": api_key, "Content-Type": "application/json"}
    sent: list[Sent] = []
    interval_s = connections / per_s
    start_s = time.monotonic()

    async def send_on_one(session: ClientSession, first_s: float) -> None:
        due_s = first_s
        while due_s < start_s + seconds:
            await asyncio.sleep(due_s - time.monotonic())
            async with session.post(path, data=body) as response:
                await response.read()
            wait = response.headers.get("Retry-After")
            took_s = time.monotonic() - due_s
            sent.append(Sent(due_s, response.status, took_s, None if wait is None else int(wait)))
            due_s += interval_s

    connector = TCPConnector(limit=connections)
    async with ClientSession(url, headers=headers, connector=connector) as session:
        await asyncio.gather(
            *(
                send_on_one(session, start_s + number * interval_s / connections)
                for number in range(connections)
            )
        )
    return sent


def quantile_ms(sent: Sequence[Sent], share: float) -> float:
    """The latency that this share of the requests stayed below, in ms."""
    latencies = sorted(one.latency_s for one in sent)
    return latencies[min(len(latencies) - 1, int(share * len(latencies)))] * 1000


class Held:
    """Connections that are open: idle ones, after a request, and slow ones, whose body comes at a
    byte a second.
    """

    def __init__(self, port: int, api_key: str) -> None:
        self._port = port
        self._api_key = api_key
        self._idle: list[asyncio.StreamWriter] = []
        self._slow: list[asyncio.StreamWriter] = []
        self._readers: list[asyncio.StreamReader] = []
        self._trickling: asyncio.Task[None] | None = None

    async def open(self, *, idle: int, slow: int) -> None:
        """Open them, some at a time, and keep the slow ones going."""
        for start in range(0, idle + slow, 100):
            numbers = range(start, min(start + 100, idle + slow))
            await asyncio.gather(*(self._open_one(is_slow=number >= idle) for number in numbers))
        self._trickling = asyncio.create_task(self._trickle())

    async def answers(self, *, within_s: float) -> list[bytes]:
        """The status lines of what the slow ones are answered, those that are."""
        async with asyncio.timeout(within_s):
            return await asyncio.gather(*(_first_line(reader) for reader in self._readers))

    async def close(self) -> None:
        """Close them all."""
        if self._trickling is not None:
            self._trickling.cancel()
            with suppress(asyncio.CancelledError):
                await self._trickling
        for writer in (*self._idle, *self._slow):
            writer.close()
        for writer in (*self._idle, *self._slow):
            with suppress(OSError):
                await writer.wait_closed()

    async def _open_one(self, *, is_slow: bool) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        if is_slow:
            head = (
                f"POST /v1/events HTTP/1.1\r\nHost: x\r\nx-api-key: {self._api_key}\r\n"
                "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
            )
            self._slow.append(writer)
            self._readers.append(reader)
            writer.write(head.encode())
            return
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"ok")
        self._idle.append(writer)

    async def _trickle(self) -> None:
        turns = 50  # each writes once a second, but not all at once: they don't know each other
        for turn in itertools.count():
            for writer in self._slow[turn % turns :: turns]:
                if not writer.is_closing():
                    writer.write(b" ")
            await asyncio.sleep(1.0 / turns)


async def _first_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readline()).strip()
    except ConnectionError:
        return b""
