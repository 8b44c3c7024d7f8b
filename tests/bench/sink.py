"""The baseline: a bare aiohttp server that reads a body and answers 202, and does nothing else."""

from __future__ import annotations

import sys

from aiohttp import web

_ANSWER = b'{"message":"Events accepted for processing"}'


async def _accept(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(status=202, body=_ANSWER, content_type="application/json")


if __name__ == "__main__":
    app = web.Application(client_max_size=1 << 26)
    app.add_routes([web.post("/v1/events/bulk", _accept), web.post("/v1/events", _accept)])
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
