"""The lane to the server, in this process: what no flag of the command can bring about."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from deploy.client import Connection
from deploy.load.retry import Patience
from deploy.load.sender import LoadStopped, Sender
from tests.deploy.load.gateway import KEY, Gateway


def sender(gateway: Gateway, notes: list[str], *, timeout_s: float = 5.0) -> Sender:
    connection = Connection(gateway.url, KEY)
    return Sender(connection, Patience(1.0), notes.append, timeout_s=timeout_s)


GOOD = b'{"event_id":"a","event_name":"n","external_customer_id":"c"}'


async def test_a_request_without_an_answer_is_sent_again(gateway: Gateway) -> None:
    """A server that does not answer in time is asked again, and may have taken it twice."""
    gateway.delay_s = 0.5
    notes: list[str] = []
    async with sender(gateway, notes, timeout_s=0.2) as lane:
        sending = asyncio.create_task(lane.send([(1, GOOD)]))
        await asyncio.sleep(0.3)
        gateway.delay_s = 0
        assert await sending == []
    assert set(gateway.ids) == {"a"}
    assert "in 0.2 s; trying again in" in notes[0]


async def test_nobody_there_is_an_error_in_the_end(gateway: Gateway) -> None:
    """A refused connection is tried for as long as was asked for, then named."""
    lane = Sender(Connection("http://127.0.0.1:1", KEY), Patience(0.1), lambda _: None)
    async with lane:
        with pytest.raises(LoadStopped, match="no answer from http://127"):
            await lane.send([(1, GOOD)])


async def test_a_redirect_is_not_followed(gateway: Gateway) -> None:
    """It would turn the POST into a GET, whose 200 means nothing."""
    gateway.faults.append(lambda _: web.Response(status=301, headers={"Location": "/elsewhere"}))
    async with sender(gateway, []) as lane:
        with pytest.raises(LoadStopped, match="it points to /elsewhere"):
            await lane.send([(1, GOOD)])


async def test_nothing_to_send_is_no_request(gateway: Gateway) -> None:
    """A batch whose every line was refused before asks nothing of the server."""
    async with sender(gateway, []) as lane:
        assert await lane.send([]) == []
    assert gateway.most_in_flight == 0
