"""Limits that are fair: what one sender may take of a gateway, which is a process of its own."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession

from schemas.keys import NewKey
from tests.support.api import Api, running_api
from tests.support.senders import EVENT, Held, Sent, quantile_ms, send_steadily

LIMIT_PER_S = 200
MIB = 1 << 20


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    limits = {
        "TALLY_GATEWAY_MAX_EVENTS_PER_S_PER_KEY": str(LIMIT_PER_S),
        "TALLY_GATEWAY_MAX_BYTES_IN_FLIGHT_PER_KEY": str(32 * MIB),
        "TALLY_GATEWAY_BODY_TIMEOUT_S": "6",
    }
    with running_api(tmp_path_factory.mktemp("limits"), **limits) as running:
        yield running


@asynccontextmanager
async def session_of(api: Api, made: NewKey) -> AsyncIterator[ClientSession]:
    """A session whose key counts already."""
    headers = {"x-api-key": made.api_key, "Content-Type": "application/json"}
    async with ClientSession(api.url, headers=headers) as session:
        async with asyncio.timeout(10):
            while (await post(session, "/v1/events", b"{}"))[0] == 401:  # noqa: ASYNC110 (a process)
                await asyncio.sleep(0.05)
        yield session


async def post(
    session: ClientSession, path: str, body: bytes
) -> tuple[int, dict[str, Any], dict[str, str]]:
    async with session.post(path, data=io.BytesIO(body)) as response:
        return response.status, await response.json(), dict(response.headers)


def bulk(count: int) -> bytes:
    return json.dumps({"events": [json.loads(EVENT)] * count}).encode()


def accepted(sent: list[Sent]) -> int:
    return sum(one.status == 202 for one in sent)


async def test_a_noisy_neighbour_gets_its_limit_and_no_other_hears_it(api: Api) -> None:
    """Ten times its limit over twenty connections, for whatever it is answered: it gets the limit,
    and all others all they send.
    """
    noisy, quiet = api.new_key("noisy"), api.new_key("quiet")
    async with session_of(api, noisy), session_of(api, quiet):
        pass
    seconds = 6.0
    noise, others = await asyncio.gather(
        send_steadily(
            api.url, noisy.api_key, per_s=10 * LIMIT_PER_S, seconds=seconds, connections=20
        ),
        send_steadily(api.url, quiet.api_key, per_s=50, seconds=seconds),
    )
    assert Counter(one.status for one in others) == {202: len(others)}
    assert {one.status for one in noise} == {202, 429}
    burst = LIMIT_PER_S  # a key that rested may send a second's worth at once
    took_s = max(one.due_s + one.latency_s for one in noise) - min(one.due_s for one in noise)
    assert accepted(noise) == pytest.approx(LIMIT_PER_S * took_s + burst, rel=0.1)
    print(f"quiet: p99 {quantile_ms(others, 0.99):.1f} ms, noisy: {len(noise)} requests")


async def test_who_waits_as_long_as_told_is_heard(api: Api) -> None:
    """A bulk of several seconds' worth passes; the next one is refused until that is paid off."""
    made = api.new_key("patient")
    async with session_of(api, made) as session:
        assert (await post(session, "/v1/events/bulk", bulk(3 * LIMIT_PER_S)))[0] == 202
        status, body, headers = await post(session, "/v1/events", EVENT)
        assert (status, body["code"]) == (429, "too_many_requests")
        assert body["details"] == {
            "limit": "events_per_s",
            "value": LIMIT_PER_S,
            "outcome": "not_stored",
        }
        wait_s = int(headers["Retry-After"])
        assert wait_s in (2, 3)
        await asyncio.sleep(wait_s)
        assert (await post(session, "/v1/events", EVENT))[0] == 202


async def test_what_is_bad_counts_as_well(api: Api) -> None:
    """A sender of nonsense is held to its rate like any other."""
    made = api.new_key("nonsense", events_per_s=5)
    async with session_of(api, made) as session:
        statuses = [(await post(session, "/v1/events", b"nonsense"))[0] for _ in range(20)]
    assert Counter(statuses).keys() == {400, 429}
    assert statuses.count(429) >= 10


async def test_bytes_are_counted_as_they_unpack(api: Api) -> None:
    """A key's own limit on bytes: many small ones, or one that is packed well, alike."""
    made = api.new_key("bytes", events_per_s=0, bytes_per_s=100_000)
    async with session_of(api, made) as session:
        packed = gzip.compress(bulk(5_000))
        headers = {"Content-Encoding": "gzip"}
        async with session.post("/v1/events/bulk", data=packed, headers=headers) as response:
            assert response.status == 202
        status, body, headers = await post(session, "/v1/events", EVENT)
        assert (status, body["details"]["limit"]) == (429, "bytes_per_s")
        assert int(headers["Retry-After"]) >= len(bulk(5_000)) / 100_000 - 2


async def test_bytes_under_way_are_limited_for_each_key(api: Api) -> None:
    """A body that does not fit into the key's share is a 503 that says so; others have room."""
    greedy, modest = api.new_key("greedy"), api.new_key("modest")
    async with session_of(api, greedy) as session, session_of(api, modest) as other:

        async def most_of_a_body() -> AsyncIterator[bytes]:
            yield b'{"events": [' + EVENT + b"]" + b" " * (20 * MIB)
            await hold.wait()
            yield b"}"

        hold = asyncio.Event()
        slow = asyncio.create_task(session.post("/v1/events/bulk", data=most_of_a_body()))
        padded = b" " * (13 * MIB) + EVENT
        await asyncio.sleep(0.5)  # nothing tells that it came; a probe could take its room
        status, body, headers = await post(session, "/v1/events", padded)
        assert (status, headers["Retry-After"]) == (503, "1")
        assert "this API key" in body["message"]
        assert f"{32 * MIB} bytes" in body["message"]
        assert (await post(other, "/v1/events", padded))[0] == 202
        hold.set()
        async with await slow as response:
            assert response.status == 202


async def test_slow_senders_are_answered_and_hurt_nobody(api: Api) -> None:
    """A thousand bodies at a byte a second and two thousand idle connections: a normal sender is
    served throughout, the slow ones hear a 408, and memory stays in bounds.
    """
    made = api.new_key("slow", events_per_s=0)
    async with session_of(api, made):
        pass
    held = Held(api.port, made.api_key)
    try:
        await held.open(idle=2_000, slow=1_000)
        sent = await send_steadily(api.url, made.api_key, per_s=50, seconds=3)
        lines = await held.answers(within_s=30)
    finally:
        await held.close()
    assert Counter(one.status for one in sent) == {202: len(sent)}
    assert Counter(lines) == {b"HTTP/1.1 408 Request Timeout": 1_000}
    peak = api.memory_bytes(peak=True)
    print(f"p99 {quantile_ms(sent, 0.99):.1f} ms, memory {peak / MIB:.0f} MiB")
    assert peak < 400 * MIB
