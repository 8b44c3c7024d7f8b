"""One application out of the gateway's and the query service's routes."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from ingest_gateway import openapi as sending
from ingest_gateway.app import Gateway
from query_api import openapi as reading
from query_api.answers import json_response, refuse_in_our_shape
from query_api.app import QueryService
from query_api.documents import serving
from schemas.content_type import JSON
from schemas.openapi import document
from schemas.operator_operations import checks, own_document

OPERATIONS: Final = (
    *sending.OPERATIONS,
    *reading.OPERATIONS,
    *checks("/", "service", ("log", "query")),
    own_document("/openapi.json", "document"),
)


def build(gateway: Gateway, query: QueryService) -> web.Application:
    """Put both on one router; ``/readyz`` is ready when the log accepts, whatever the rest does."""
    app = web.Application(middlewares=[refuse_in_our_shape])
    app.add_routes(gateway.routes())
    app.add_routes(query.routes())

    async def ready(_request: web.Request) -> web.Response:
        trouble = gateway.trouble()
        state = {"log": trouble or "ok", "query": await query.state()}
        return json_response(503 if trouble else 200, msgspec.json.encode(state))

    async def live(_request: web.Request) -> web.Response:
        return json_response(200, b'{"status":"ok"}')

    app.add_routes([web.get("/livez", live), web.get("/readyz", ready)])
    app.add_routes([web.get("/openapi.json", serving(_document(), JSON))])
    return app


def _document() -> bytes:
    """Both services' calls, and those of the port that they share."""
    about = f"## Sending\n\n{sending.DESCRIPTION}\n## Reading\n\n{reading.DESCRIPTION}"
    return msgspec.json.encode(document("Tally", about, OPERATIONS, sending.AMENDMENTS))
