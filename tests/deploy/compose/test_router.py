"""Which request goes where, and that it gets there as it was sent."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from yarl import URL

from tests.support.router import Replica, Router

GATEWAY = [
    "POST /v1/events",
    "POST /v1/events?source=a",
    "POST /v1/events/bulk",
    "POST /v1/events/bulk?partial=true",
    "POST /api/usage-events",
    "POST /api/v1/events",
    # Not allowed: the gateway says so.
    "GET /api/v1/events",
    "GET /ingest/livez",
    "GET /ingest/readyz",
    "POST /ingest/anything",
]
QUERY = [
    "GET /v1/events",
    "GET /v1/events?property_filters=a%3Ab%2Cc&page_size=2",
    "HEAD /v1/events",
    "POST /v1/events/query",
    "GET /v1/events/lookup?id=a%26b",
    "GET /api/usage-events",
    "GET /api/usage-events?limit=1&after=a%2Bb",
    "GET /openapi.json",
    "GET /docs",
    "GET /docs/page.js",
    # IDs of events, whatever they hold.
    "GET /v1/events/bulk",
    "GET /v1/events/query",
    "GET /v1/events/a%2Fb%20c%3F%E2%98%83",
    "GET /v1/events/../a//b/./%2e%2e",
    "GET /v1/events/" + "i" * 512,
    "GET /v1/events?property_filters=" + "a" * 65_000,
    # Not there or not allowed: the service says so.
    "DELETE /v1/events",
    "DELETE /api/usage-events",
    "POST /v1/events/bulk/",
    "GET /v1/other",
    "GET /query/readyz",
]
NOWHERE = [
    *("GET /", "GET /v1", "GET /readyz/", "POST /v2/events", "GET /metrics", "GET /docsy"),
    *("POST /api/usage-events/", "POST /api/v1/events/a", "GET /openapi.json/a"),
]


async def ask(router: Router, request: str, **more: Any) -> tuple[int, Any]:
    """Send a request, its path as it stands; give the status and the body's JSON."""
    method, path = request.split(" ", 1)
    url = URL(f"{router.url}{path}", encoded=True)
    async with router.session.request(method, url, **more) as answer:
        body = await answer.read()
        return answer.status, json.loads(body) if body else None


async def test_each_request_goes_to_its_service(
    router: Router, gateway: Replica, query: Replica
) -> None:
    """By method and path, and with path, parameters and escapes as they were sent."""
    for request in GATEWAY:
        status, _ = await ask(router, request)
        assert (status, gateway.seen, query.seen) == (200, [request], []), request
        gateway.seen.clear()
    for request in QUERY:
        status, _ = await ask(router, request)
        assert (status, gateway.seen, query.seen) == (200, [], [request]), request
        query.seen.clear()


async def test_what_nobody_serves_is_a_404_in_the_services_shape(
    router: Router, gateway: Replica, query: Replica
) -> None:
    """Any other path is answered here, as JSON."""
    for request in NOWHERE:
        status, body = await ask(router, request)
        assert (status, body["code"], body["http_status_code"]) == (404, "not_found", 404)
    assert (gateway.seen, query.seen) == ([], [])


async def test_request_ids_pass_and_are_made(router: Router, gateway: Replica) -> None:
    """One that was sent arrives as it is, and without one the router makes a UUID."""
    _, sent = await ask(router, "POST /v1/events", headers={"X-Request-ID": "mine"})
    assert sent["headers"]["x-request-id"] == "mine"
    _, made = await ask(router, "POST /v1/events")
    assert uuid.UUID(made["headers"]["x-request-id"])


async def test_large_bodies_pass(router: Router, gateway: Replica) -> None:
    """30 MiB, with and without a length, and gzip's bytes untouched by anybody."""
    body = bytes(30 << 20)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 1 << 20):
            yield body[at : at + (1 << 20)]

    for data in (io.BytesIO(body), pieces()):
        status, answer = await ask(router, "POST /v1/events/bulk", data=data)
        assert (status, answer["body_bytes"]) == (200, len(body))


async def test_bodies_are_not_kept(router: Router, gateway: Replica) -> None:
    """A body's beginning is with the gateway before its end was sent."""
    began = asyncio.Event()

    async def notice(request: web.Request) -> web.Response:
        await request.content.readany()
        began.set()
        await request.read()
        return web.json_response({})

    async def halves() -> AsyncIterator[bytes]:
        yield bytes(1000)
        async with asyncio.timeout(10):
            await began.wait()
        yield bytes(1000)

    gateway.handler = notice
    status, _ = await ask(router, "POST /v1/events/bulk", data=halves())
    assert status == 200


async def test_livez_and_readyz_are_the_routers_own(router: Router) -> None:
    """It lives without any service; it is ready when a gateway is, and tells of both."""
    assert await ask(router, "GET /livez") == (200, {"status": "ok"})
    counts = {"gateways_ready": 0, "query_services_ready": 0}
    assert await ask(router, "GET /readyz") == (503, counts)
    query = router.replica("query")
    await query.start()
    await router.scale("query", query)
    counts["query_services_ready"] = 1
    assert await ask(router, "GET /readyz") == (503, counts)
    gateways = [router.replica("gateway"), router.replica("gateway")]
    for gateway in gateways:
        await gateway.start()
    await router.scale("gateway", *gateways)
    counts["gateways_ready"] = 2
    assert await ask(router, "GET /readyz") == (200, counts)


async def test_a_request_line_that_no_buffer_holds_is_refused(
    router: Router, query: Replica
) -> None:
    """Far above what the query service reads, it is a 400, and no service sees it."""
    async with router.session.get("/v1/events?x=" + "a" * 100_000) as answer:
        assert answer.status == 400
    assert query.seen == []
