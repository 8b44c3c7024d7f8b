"""The gateway's routes: each dialect's calls, and what an operator asks."""

from __future__ import annotations

from functools import partial

import msgspec
from aiohttp import web

from ingest_gateway import cloudevents, flexprice, openapi, sequence
from ingest_gateway.answers import answering, json_response, refuse_in_our_shape
from ingest_gateway.bulk import take_bulk
from ingest_gateway.documents import serving
from ingest_gateway.intake import Intake
from ingest_gateway.log import EventLog
from ingest_gateway.settings import Settings
from schemas import dialects
from schemas.cloudevents import PATH as CLOUDEVENTS_PATH
from schemas.content_type import JSON, check_json
from schemas.keys import KeyRing
from schemas.openapi import Operation, document
from schemas.sequence import PATH as USAGE_EVENTS_PATH
from schemas.sequence import VERSION_HEADER


class Gateway:
    """What the routes share. Give it a log that is open and a ring that a feed fills."""

    def __init__(self, log: EventLog, keys: KeyRing, settings: Settings) -> None:
        self._intake = Intake(log, keys, settings)

    def routes(self) -> list[web.RouteDef]:
        """Every route of the gateway, for an application of its own or for a shared one."""
        return [
            web.post("/v1/events", answering(self._single)),
            web.post("/v1/events/bulk", answering(self._bulk)),
            web.post(CLOUDEVENTS_PATH, answering(self._cloudevents)),
            web.post(USAGE_EVENTS_PATH, answering(self._usage_event)),
            web.get("/ingest/livez", _live),
            web.get("/ingest/readyz", self.ready),
            web.get("/ingest/openapi.json", serving(_document(), JSON)),
        ]

    def trouble(self) -> str | None:
        """Say why the gateway can't take events just now, or None."""
        return self._intake.trouble()

    async def _single(self, request: web.Request) -> web.Response:
        check_json(request.headers)
        accepted = await self._intake.accept(request, flexprice.read_event, dialects.FLEXPRICE)
        return json_response(202, flexprice.single_answer(accepted.events[0].event_id))

    async def _bulk(self, request: web.Request) -> web.Response:
        return await take_bulk(self._intake, request)

    async def _cloudevents(self, request: web.Request) -> web.Response:
        read = partial(cloudevents.read_request, request.headers)
        await self._intake.accept(request, read, dialects.CLOUDEVENTS)
        return web.Response(status=204)

    async def _usage_event(self, request: web.Request) -> web.Response:
        check_json(request.headers)
        versions = request.headers.getall(VERSION_HEADER, [])
        read = partial(sequence.read_event, versions)
        accepted = await self._intake.accept(request, read, dialects.SEQUENCE)
        return json_response(201, sequence.created_answer(accepted.events[0]))

    async def ready(self, _request: web.Request) -> web.Response:
        """Answer whether events are accepted just now, and if not, why."""
        trouble = self.trouble()
        body = msgspec.json.encode({"log": trouble or "ok"})
        return json_response(503 if trouble else 200, body)


def application(gateway: Gateway) -> web.Application:
    """Make an application of the gateway alone, which answers 404 and 405 in our shape too."""
    app = web.Application(middlewares=[refuse_in_our_shape])
    app.add_routes(gateway.routes())
    app.add_routes([web.get("/livez", _live), web.get("/readyz", gateway.ready)])
    app.add_routes([web.get("/openapi.json", serving(_document(*openapi.ALONE), JSON))])
    return app


def _document(*more: Operation) -> bytes:
    operations = (*openapi.OPERATIONS, *more)
    return msgspec.json.encode(
        document(openapi.TITLE, openapi.DESCRIPTION, operations, openapi.AMENDMENTS)
    )


async def _live(_request: web.Request) -> web.Response:
    return json_response(200, b'{"status":"ok"}')
