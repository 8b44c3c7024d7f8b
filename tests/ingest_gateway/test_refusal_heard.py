"""A refusal in mid-upload reaches clients that look for no answer before they have sent it all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest
import requests
from aiohttp import ClientSession

from deploy.embedded.log.events import SqliteEventLog
from ingest_gateway.settings import Settings
from tests.ingest_gateway.conftest import serving
from tests.ingest_gateway.uploading import BULK, NDJSON, event, ids_in_log, lines

Answer = tuple[int, str]


def chunks_after_a_bad_line() -> Iterator[bytes]:
    """For longer than a connection lingers whose body was not read, and more than it takes."""
    yield lines([event(0)]) + b"{}\n"
    piece = lines(event(number) for number in range(1_000))
    for _ in range(70):
        time.sleep(0.05)
        yield piece * 2


def by_http_client(url: str, headers: dict[str, str]) -> Answer:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.request("POST", BULK, chunks_after_a_bad_line(), headers, encode_chunked=True)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def by_requests(url: str, headers: dict[str, str]) -> Answer:
    answer = requests.post(url + BULK, data=chunks_after_a_bad_line(), headers=headers, timeout=30)
    return answer.status_code, answer.text


def by_httpx(url: str, headers: dict[str, str]) -> Answer:
    answer = httpx.post(url + BULK, content=chunks_after_a_bad_line(), headers=headers, timeout=30)
    return answer.status_code, answer.text


def address_of(session: ClientSession) -> str:
    return str(session._base_url).rstrip("/")


@pytest.mark.parametrize("send", [by_http_client, by_requests, by_httpx])
async def test_where_to_go_on_is_heard(
    send: Callable[[str, dict[str, str]], Answer], log: SqliteEventLog, tmp_path: Path
) -> None:
    """It is read past what they still send, so that their system keeps our answer for them."""
    async with serving(log, Settings()) as session:
        headers = {
            "x-api-key": session.headers["x-api-key"],
            "Content-Type": NDJSON,
            "Transfer-Encoding": "chunked",
        }
        status, text = await asyncio.to_thread(send, address_of(session), headers)
    assert status == 400
    assert "events accepted: 1, go on from line 2" in text
    assert await ids_in_log(tmp_path) == {"e0"}
