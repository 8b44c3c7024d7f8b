"""One application out of the gateway's and the query service's routes."""

from __future__ import annotations

import msgspec
from aiohttp import web

from ingest_gateway.app import Gateway
from query_api.answers import json_response, refuse_in_our_shape
from query_api.app import QueryService


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
    return app
