"""What stands in front of a gateway in the tests of retries: it refuses as the gateway does, and
lets the rest through.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

from aiohttp import ClientSession, web

from schemas.dialects import dialect_of
from schemas.errors import ApiError, too_many, unavailable

RETRY_AFTER_S = 1
_OF_THE_CONNECTION = {"host", "connection", "transfer-encoding", "content-length"}


class Step(Enum):
    """What becomes of a request."""

    PASS = auto()
    TOO_MANY = auto()  # 429: the key's limit
    NOT_STORED = auto()  # 503: refused at the door
    UNKNOWN = auto()  # 503: but the events are in the log


@dataclass
class Front:
    """A server that runs. After its script it lets everything through.

    ``arrivals`` are the times of the requests, by the monotonic clock; ``keys`` their
    Idempotency-Key.
    """

    target: str
    script: deque[Step]
    url: str = ""
    arrivals: list[float] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)

    @property
    def waits_s(self) -> list[float]:
        """How long the client waited before each further request."""
        return [
            later - earlier
            for earlier, later in zip(self.arrivals, self.arrivals[1:], strict=False)
        ]

    async def answer(self, request: web.Request) -> web.Response:
        self.arrivals.append(time.monotonic())
        self.keys.append(request.headers.get("Idempotency-Key"))
        step = self.script.popleft() if self.script else Step.PASS
        if step is Step.TOO_MANY:
            refusal = too_many("the key sends too much", retry_after_s=RETRY_AFTER_S)
            return refused(request, refusal)
        if step is Step.PASS:
            return await self._pass_on(request)
        if step is Step.UNKNOWN:
            passed_on = await self._pass_on(request)
            assert passed_on.status in (202, 204), passed_on.body
        outcome = "unknown" if step is Step.UNKNOWN else "not_stored"
        refusal = unavailable(
            "the log does not answer",
            retry_after_s=RETRY_AFTER_S,
            details={"outcome": outcome},
        )
        return refused(request, refusal)

    async def _pass_on(self, request: web.Request) -> web.Response:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _OF_THE_CONNECTION
        }
        async with (
            ClientSession(auto_decompress=False) as session,
            session.request(
                request.method,
                self.target + request.path_qs,
                data=await request.read(),
                headers=headers,
            ) as response,
        ):
            return web.Response(
                status=response.status,
                body=await response.read(),
                headers={
                    name: value
                    for name, value in response.headers.items()
                    if name.lower() not in _OF_THE_CONNECTION
                },
            )


def refused(request: web.Request, refusal: ApiError) -> web.Response:
    """A refusal as a gateway writes it."""
    dialect = dialect_of(request.path)
    return web.Response(
        status=refusal.status,
        body=dialect.error_body(refusal),
        content_type=dialect.content_type,
        headers=refusal.headers,
    )


@asynccontextmanager
async def serving(target: str, script: Iterable[Step]) -> AsyncIterator[Front]:
    """Run a front of the server at ``target``."""
    front = Front(target, deque(script))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", front.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        front.url = f"http://{host}:{port}"
        yield front
    finally:
        await runner.cleanup()
