"""Large uploads to a gateway that is a process of its own: what they cost it in memory.

In the long form with the sizes that are promised.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientSession, ClientTimeout
from backports import zstd

from deploy.embedded.log.keys import append_key
from deploy.embedded.log.lag import read_lag
from schemas.cloudevents import BATCH, STRUCTURED
from schemas.cloudevents import PATH as CLOUD_EVENTS
from schemas.keys import make_key
from tests.ingest_gateway.uploading import BULK, NDJSON, event, lines
from tests.support.clickhouse import free_port
from tests.support.stack import wait_until
from tests.support.traffic import sized

MIB = 1 << 20
WHOLE = ClientTimeout(total=600)


class Gateway(NamedTuple):
    """A gateway under way: its log, its address and key, its process."""

    log: Path
    url: str
    api_key: str
    process: subprocess.Popen[bytes]

    def memory_mib(self, name: str) -> float:
        """What it holds now (VmRSS), or held at most since `forget_peak` (VmHWM)."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
        raise LookupError(name)

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def records(self) -> int:
        return sum(partition.end_offset for partition in read_lag(self.log))


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    made = make_key("acme", "")
    append_key(tmp_path, made.record)
    port = free_port()
    command = [sys.executable, "-m", "deploy.embedded.api", "--log", str(tmp_path)]
    process = subprocess.Popen([*command, "--port", str(port)], env=os.environ)
    started = Gateway(tmp_path, f"http://127.0.0.1:{port}", made.api_key, process)
    try:
        wait_until(lambda: is_listening(port), what="the gateway listens")
        yield started
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def is_listening(port: int) -> bool:
    return any(
        line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
    )


async def send(
    gateway: Gateway, body: Any, encoding: str, content_type: str = NDJSON, path: str = BULK
) -> tuple[int, Any]:
    headers = {
        "x-api-key": gateway.api_key,
        "Content-Type": content_type,
        "Content-Encoding": encoding,
    }
    async with (
        ClientSession(gateway.url, headers=headers, timeout=WHOLE) as session,
        session.post(path, data=body) as response,
    ):
        text = await response.read()
        return response.status, json.loads(text) if text else None


PACKERS = {"gzip": lambda data: gzip.compress(data, 1), "zstd": zstd.compress}


@pytest.mark.parametrize("encoding", PACKERS)
async def test_a_million_lines_in_one_request(encoding: str, gateway: Gateway) -> None:
    """All are accepted and in the log; the gateway never holds much of them."""
    count = sized(short=100_000, full=1_000_000)

    async def packed() -> AsyncIterator[bytes]:
        for start in range(0, count, 10_000):
            some = (event(number) for number in range(start, start + 10_000))
            yield PACKERS[encoding](lines(some))

    started_at = time.monotonic()
    status, answer = await send(gateway, packed(), encoding)
    took_s = time.monotonic() - started_at
    peak_mib = gateway.memory_mib("VmHWM")
    print(f"{count} lines, {encoding}: {took_s:.1f} s, at most {peak_mib:.0f} MiB")
    assert (status, answer) == (202, {"message": "Events accepted for processing"})
    assert gateway.records() == count
    assert peak_mib < 300


def status_of(answer: bytes) -> int:
    return int(answer.split()[1])


def send_all(gateway: Gateway, headers: str, body: bytes) -> bytes:
    """Send a bulk as a client does that reads nothing before it has sent everything, or can't;
    give what the gateway says until it closes.
    """
    port = int(gateway.url.rpartition(":")[2])
    head = f"POST {BULK} HTTP/1.1\r\nHost: x\r\nx-api-key: {gateway.api_key}\r\n"
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(f"{head}{headers}Content-Length: {len(body)}\r\n\r\n".encode())
        with suppress(ConnectionError):  # the answer is here by then
            connection.sendall(body)
        with suppress(ConnectionError):
            while received := connection.recv(MIB):
                answer += received
    return answer


@pytest.mark.parametrize(
    ("content_type", "start", "filler", "expected"),
    [
        ("application/json", b"", b"\0", 413),
        ("application/json", b'{"events":[', b" ", 413),
        ("application/json", b"[", b" ", 400),
        (NDJSON, b"", b"\n", 413),
        (NDJSON, b"{", b"x", 413),
    ],
    ids=["zeros", "object", "array", "blank lines", "one line"],
)
async def test_a_bomb_costs_little(
    content_type: str, start: bytes, filler: bytes, expected: int, gateway: Gateway
) -> None:
    """64 MiB of gzip that unpack to 64 GiB: a refusal, early, at less than 100 MiB."""
    member = gzip.compress(filler * (64 * MIB), 9)
    size = sized(short=4 * MIB, full=64 * MIB)
    bomb = gzip.compress(start) + member * (size // len(member))
    wait_until(lambda: gateway.memory_mib("VmRSS") > 20)
    await send(gateway, io.BytesIO(lines([event(0)])), "identity")  # everything is loaded
    idle_mib = gateway.memory_mib("VmRSS")
    gateway.forget_peak()
    started_at = time.monotonic()
    headers = f"Content-Type: {content_type}\r\nContent-Encoding: gzip\r\n"
    status = status_of(await asyncio.to_thread(send_all, gateway, headers, bomb))
    took_s = time.monotonic() - started_at
    cost_mib = gateway.memory_mib("VmHWM") - idle_mib
    print(f"{len(bomb) // MIB} MiB: {status}, {took_s:.1f} s, {cost_mib:.0f} MiB more")
    assert status == expected
    assert cost_mib < 100
    assert took_s < 30
    good = json.dumps(event(1)).encode()
    status, _ = await send(gateway, good, "identity", "application/json", "/v1/events")
    assert status == 202
    assert gateway.records() == 2


def names(count: int) -> bytes:
    return b",".join(b'"a%d":0' % number for number in range(count))


HALF = 31 * MIB // 2
LEAST = b'"specversion":"1.0","id":"1","source":"s","type":"t","subject":"c"'


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        (BULK, "application/json", lambda: b'{"events":[%b1]}' % (b"1," * HALF)),
        (BULK, "application/json", lambda: b'{"x":0,"events":[%b1]}' % (b"1," * HALF)),
        (BULK, "application/json", lambda: b'{"events":[%b1}' % (b"1," * HALF)),
        (CLOUD_EVENTS, BATCH, lambda: b"[%b1]" % (b"1," * HALF)),
        (CLOUD_EVENTS, STRUCTURED, lambda: b"{%b,%b}" % (LEAST, names(2_000_000))),
        ("/v1/events", "application/json", lambda: b'{"properties":[%b1}' % (b"1," * HALF)),
    ],
    ids=["bulk", "another key first", "malformed", "batch", "attributes", "event"],
)
async def test_a_body_of_millions_of_values_costs_little(
    path: str, content_type: str, body: Callable[[], bytes], gateway: Gateway
) -> None:
    """A whole body may unpack to 32 MiB, and those to a hundred million objects: none is made, and
    others are answered meanwhile.
    """
    packed = gzip.compress(body(), 6)
    await send(gateway, io.BytesIO(lines([event(0)])), "identity")  # everything is loaded
    idle_mib = gateway.memory_mib("VmRSS")
    gateway.forget_peak()
    (status, _), longest_s = await while_others_ask(
        gateway, send(gateway, io.BytesIO(packed), "gzip", content_type, path)
    )
    cost_mib = gateway.memory_mib("VmHWM") - idle_mib
    print(
        f"{len(packed)} bytes: {status}, {cost_mib:.0f} MiB more, others waited {longest_s:.2f} s"
    )
    assert status == 400
    assert cost_mib < 250
    assert longest_s < 1


async def test_a_large_batch_of_cloudevents_holds_nobody_up(gateway: Gateway) -> None:
    """27 MiB of good events are read in steps."""
    one = b'{"specversion":"1.0","id":"%d","source":"s","type":"t","subject":"c","data":{"a":"%b"}}'
    body = b"[%b]" % b",".join(one % (number, b"x" * 2_800) for number in range(10_000))
    sending = send(gateway, io.BytesIO(gzip.compress(body, 1)), "gzip", BATCH, CLOUD_EVENTS)
    (status, _), longest_s = await while_others_ask(gateway, sending)
    print(f"others waited {longest_s:.2f} s")
    assert (status, gateway.records()) == (204, 10_000)
    assert longest_s < 0.8


async def while_others_ask(gateway: Gateway, sending: Any) -> tuple[Any, float]:
    """Send, and give with the answer how long another client had to wait meanwhile at the most."""
    task = asyncio.ensure_future(sending)
    longest_s = 0.0
    async with ClientSession(gateway.url, timeout=WHOLE) as session:
        while not task.done():
            asked_at = time.monotonic()
            async with session.get("/livez") as response:
                assert response.status == 200
            longest_s = max(longest_s, time.monotonic() - asked_at)
            await asyncio.sleep(0.01)
    return await task, longest_s


@pytest.mark.parametrize(
    ("headers", "start", "status"),
    [
        ("", b"", 413),
        (f"Content-Type: {NDJSON}\r\n", b"{}\n", 400),
        (f"Content-Type: {NDJSON}\r\nContent-Encoding: gzip\r\n", b"garbage", 400),
    ],
    ids=["too large", "bad line", "corrupt"],
)
async def test_a_refusal_is_heard_by_who_sends_on(
    headers: str, start: bytes, status: int, gateway: Gateway
) -> None:
    """The answer reaches a sender that has not sent half of its body, and the connection ends."""
    body = start + bytes(64 * MIB - len(start))
    answer = await asyncio.to_thread(send_all, gateway, headers, body)
    assert status_of(answer) == status
    assert b"\r\nConnection: close\r\n" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["http_status_code"] == status
