"""What a client sees when replicas come, go, die and are not ready."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiohttp import ClientConnectionError, ClientSession, web

from tests.support.router import Replica, Router, until

EVENT = "/v1/events"
# A common client library gives up after 5 s.
PATIENCE_S = 4.5


async def post(router: Router, path: str = EVENT) -> tuple[int, Any]:
    """Send an event's worth of bytes; give the status and the body's JSON."""
    async with router.session.post(path, data=b"{}") as answer:
        return answer.status, await answer.json()


async def with_retry_after(router: Router, method: str, path: str) -> tuple[int, Any, str]:
    """Ask; give status, JSON and Retry-After, which must have come in time."""
    began = time.monotonic()
    async with router.session.request(method, path, data=b"{}") as answer:
        body = await answer.json()
    assert time.monotonic() - began < PATIENCE_S
    return answer.status, body, answer.headers["Retry-After"]


def abort_first(seen: list[Replica], replica: Replica) -> Callable[[web.Request], Awaitable[Any]]:
    """A handler that notes where a request arrived; the first one finds its connection cut."""

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        seen.append(replica)
        if len(seen) == 1:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"address": replica.address})

    return handler


async def two(router: Router, service: str) -> list[Replica]:
    """Start two replicas of a service."""
    replicas = [router.replica(service), router.replica(service)]
    for replica in replicas:
        await replica.start()
    await router.scale(service, *replicas)
    return replicas


async def test_replicas_are_found_and_forgotten(router: Router, gateway: Replica) -> None:
    """A second replica gets its share once the name server tells it, a third takes its place when
    it leaves, and no request fails meanwhile.
    """
    second, third = router.replica("gateway"), router.replica("gateway")
    answers: list[tuple[int, str]] = []
    stop = asyncio.Event()

    async def send() -> None:
        while not stop.is_set():
            status, body = await post(router)
            answers.append((status, body["address"]))

    def recent() -> set[str]:
        return {address for _, address in answers[-20:]}

    sending = asyncio.create_task(send())
    await second.start()
    await router.scale("gateway", gateway, second)
    await until(lambda: recent() == {gateway.address, second.address})
    await third.start()
    router.names.addresses["gateway"] = [gateway.address, third.address]
    await until(lambda: recent() == {gateway.address, third.address})
    stop.set()
    await sending
    assert {status for status, _ in answers} == {200}


async def test_without_a_gateway_nothing_is_stored_and_it_recovers(
    router: Router, query: Replica
) -> None:
    """No replica, and one that does not listen, are a 503 "not_stored" in time; reads go on, and
    events do once it listens.
    """
    gateway = router.replica("gateway")
    for addresses in ([], [gateway.address]):
        router.names.addresses["gateway"] = addresses
        status, body, retry_after = await with_retry_after(router, "POST", EVENT)
        assert (status, body["http_status_code"], retry_after) == (503, 503, "1")
        assert body["details"] == {"outcome": "not_stored"}
        assert body["error"]["message"] == body["message"]
    async with router.session.get(EVENT) as answer:
        assert answer.status == 200
    await gateway.start()
    await router.until_ready("gateway", 1)
    assert (await post(router))[0] == 200


async def test_a_dead_replica_is_not_noticed(router: Router) -> None:
    """Events whose replica has just stopped listening go to another one, at once."""
    stays, goes = await two(router, "gateway")
    await goes.stop()
    for _ in range(20):
        status, body = await post(router)
        assert (status, body["address"]) == (200, stays.address)


async def test_an_event_is_never_sent_twice(router: Router) -> None:
    """A replica that dies with an event in hand is a 502 "unknown"; no other replica gets it."""
    seen: list[Replica] = []
    for replica in await two(router, "gateway"):
        replica.handler = abort_first(seen, replica)
    async with (
        ClientSession() as fresh,
        fresh.post(router.url + EVENT, data=b"{}") as answer,
    ):
        body = await answer.json()
    assert (answer.status, body["details"]) == (502, {"outcome": "unknown"})
    assert answer.headers["Retry-After"] == "1"
    assert len(seen) == 1


async def test_an_event_is_never_sent_twice_on_kept_connections(router: Router) -> None:
    """Nor if the connections to router and replicas were used before: then the client's may be
    closed instead, which it can't take for an answer.
    """
    seen: list[Replica] = []
    replicas = await two(router, "gateway")
    for _ in range(4):
        assert (await post(router))[0] == 200
    for replica in replicas:
        replica.handler = abort_first(seen, replica)
    with suppress(ClientConnectionError):
        assert (await post(router))[0] == 502
    assert len(seen) == 1


async def test_a_read_is_asked_again(router: Router) -> None:
    """A query service that dies with a GET in hand is not noticed: another one answers."""
    seen: list[Replica] = []
    for replica in await two(router, "query"):
        replica.handler = abort_first(seen, replica)
    # On a connection of its own: on one that it used before, this client would itself ask again.
    async with ClientSession() as fresh, fresh.get(router.url + EVENT) as answer:
        assert answer.status == 200
    assert len({replica.address for replica in seen}) == 2


async def test_reads_without_a_query_service_are_a_503(router: Router, gateway: Replica) -> None:
    """In the services' shape, with Retry-After and no word of events stored; events go on."""
    status, body, retry_after = await with_retry_after(router, "POST", f"{EVENT}/query")
    assert (status, body["code"], retry_after) == (503, "service_unavailable", "1")
    assert "details" not in body
    assert (await post(router))[0] == 200


async def test_unready_replicas_are_left_alone_while_others_are_ready(router: Router) -> None:
    """A replica that says it is not ready gets no events; with none ready they are asked anyway,
    since they can say why.
    """
    first, second = await two(router, "gateway")
    second.is_ready = False
    await router.until_ready("gateway", 1)
    second.seen.clear()
    for _ in range(20):
        assert (await post(router))[1]["address"] == first.address
    assert second.seen == []
    first.is_ready = False
    await router.until_ready("gateway", 0)
    status, body = await post(router)
    assert (status, body["service"]) == (200, "gateway")


async def test_what_is_under_way_ends_before_the_router_does(
    router: Router, gateway: Replica
) -> None:
    """Told to stop, it takes no connection and waits for the answer of the one it has."""
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        await request.read()
        arrived.set()
        await go_on.wait()
        return web.json_response({})

    gateway.handler = slow
    sending = asyncio.create_task(post(router))
    await arrived.wait()
    router.stop(signal.SIGUSR1)
    await until(lambda: not router.listens(), what="the router listens no more")
    go_on.set()
    assert (await sending)[0] == 200
    await until(lambda: router.process.poll() is not None, what="the router ends")
    assert router.process.returncode == 0


async def test_only_failures_are_logged_and_no_customer_is_named(
    router: Router, query: Replica
) -> None:
    """The log has a line for a failure, with its path, and neither parameters nor keys."""

    async def ask(status: int) -> None:
        query.handler = lambda _: asyncio.sleep(0, web.Response(status=status))
        url, headers = f"{EVENT}?external_customer_id=acme-inc", {"x-api-key": "secret"}
        async with router.session.get(url, headers=headers) as answer:
            assert answer.status == status

    for status in (200, 404, 500):
        await ask(status)
    await until(lambda: EVENT in router.log.read_text(), what="a line of the log")
    lines = [line for line in router.log.read_text().splitlines() if line.startswith("router ")]
    assert len(lines) == 1
    assert f" GET {EVENT} query/" in lines[0]
    assert " 500 " in lines[0]
    assert "acme" not in lines[0]
    assert "secret" not in lines[0]
