"""What a service's routes are, and what its OpenAPI document says they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession, web

# The files of a page, which is documented itself.
_OF_A_PAGE = "/docs/"


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[ClientSession]:
    """Serve an application on a free port; give a session that talks to it."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with ClientSession(f"http://{host}:{port}") as session:
            yield session
    finally:
        await runner.cleanup()


async def documented_calls(session: ClientSession, path: str) -> set[tuple[str, str]]:
    """Every method and path of the document that stands at a path."""
    async with session.get(path) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/json"
        document: dict[str, Any] = await response.json()
    return {(method, path) for path, methods in document["paths"].items() for method in methods}


def calls_of(app: web.Application) -> set[tuple[str, str]]:
    """Every method and path that an application answers; HEAD comes with each GET."""
    calls = set()
    for route in app.router.routes():
        assert route.resource is not None
        path = route.resource.canonical
        if route.method != "HEAD" and not path.startswith(_OF_A_PAGE):
            calls.add((route.method.lower(), path))
    return calls
