"""The route that takes CloudEvents, over a real server and a real log."""

from __future__ import annotations

import json

from aiohttp import ClientSession

from deploy.embedded.log.events import SqliteEventLog
from schemas.cloudevents import PATH
from tests.ingest_gateway.cloud_events import BATCH, BINARY, LEAST, SETTINGS, STRUCTURED
from tests.ingest_gateway.conftest import serving


async def post(
    session: ClientSession, body: bytes, headers: dict[str, str]
) -> tuple[int, str | None, bytes]:
    async with session.post(PATH, data=body, headers=headers) as answer:
        return answer.status, answer.headers.get("Content-Type"), await answer.read()


async def test_the_route_answers_204_and_the_event_is_in_the_log(log: SqliteEventLog) -> None:
    """Each mode is a 204 without a body, after the append."""
    async with serving(log, SETTINGS) as session:
        event = json.dumps(LEAST).encode()
        for body, headers in (
            (event, {"Content-Type": STRUCTURED}),
            (b"[" + event + b"]", {"Content-Type": BATCH}),
            (b"{}", {"Content-Type": "application/json", **BINARY}),
        ):
            status, _, answer = await post(session, body, headers)
            assert (status, answer) == (204, b"")


async def test_the_route_refuses_as_problem_details(log: SqliteEventLog) -> None:
    """Every refusal of this path has the shape that OpenMeter's clients read."""
    async with serving(log, SETTINGS) as session:
        for body, headers, wanted in (
            (b"{}", {"Content-Type": STRUCTURED}, 400),
            (b"{}", {"Content-Type": "text/plain"}, 415),
            (b"{}", {"Content-Type": STRUCTURED, "x-api-key": "wrong"}, 401),
        ):
            status, content_type, answer = await post(session, body, headers)
            assert (status, content_type) == (wanted, "application/problem+json")
            problem = json.loads(answer)
            assert problem["status"] == wanted
            assert problem["title"]
            assert problem["detail"]
