"""A small real server that keeps the contract of the bulk endpoint, and fails when told to."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from schemas.errors import ApiError, validation_error
from schemas.event import MAX_BODY_BYTES, MAX_BULK_EVENTS
from schemas.flexprice import IngestEvent, error_body

KEY = "test-key"
TALLY = Path(sys.executable).parent / "tally"

Fault = Callable[[web.Request], web.StreamResponse | None]


class Gateway:
    """Keeps what it accepted, in order. ``faults`` are taken one a request, before it is served."""

    def __init__(self) -> None:
        self.url = ""
        self.accepted: list[dict[str, Any]] = []
        self.bulks: list[int] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.faults: deque[Fault] = deque()
        self.delay_s = 0.0
        self.names_indexes = True
        self._more = asyncio.Condition()

    @property
    def ids(self) -> list[str]:
        return [event["event_id"] for event in self.accepted]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            body = await request.read()
            await asyncio.sleep(self.delay_s)
            if self.faults and (answer := self.faults.popleft()(request)) is not None:
                return answer
            answer = self._serve(request, body)
            async with self._more:
                self._more.notify_all()
            return answer
        except ApiError as error:
            return web.Response(
                status=error.status,
                body=error_body(error),
                headers=error.headers,
                content_type="application/json",
            )
        finally:
            self.in_flight -= 1

    async def has_accepted(self, count: int) -> None:
        """Wait until this many events were accepted."""
        async with asyncio.timeout(20), self._more:
            await self._more.wait_for(lambda: len(self.accepted) >= count)

    def _serve(self, request: web.Request, body: bytes) -> web.Response:
        if request.headers.get("x-api-key") != KEY:
            raise ApiError(401, "permission_denied", "the API key is unknown or was revoked")
        if request.path == "/v1/events":
            event = self._check(json.loads(body))
            self.accepted.append(event)
            answer = {"message": "Event accepted for processing", "event_id": event["event_id"]}
            return web.json_response(answer, status=202)
        events = json.loads(body)["events"]
        if not 1 <= len(events) <= MAX_BULK_EVENTS:
            raise validation_error(f"{len(events)} events")
        errors = []
        for index, event in enumerate(events):
            try:
                self._check(event)
            except ApiError as error:
                errors.append({"index": index, **(error.details or {}), "message": str(error)})
        if errors:
            details = {"errors": errors} if self.names_indexes else None
            raise validation_error("an event is bad", details=details)
        self.bulks.append(len(events))
        self.accepted += events
        return web.json_response({"message": "Events accepted for processing"}, status=202)

    @staticmethod
    def _check(event: dict[str, Any]) -> dict[str, Any]:
        try:
            msgspec.convert({**event, "properties": msgspec.Raw()}, IngestEvent)
        except msgspec.ValidationError as error:
            text = str(error)
            field = text.split("`")[-2] if "required" in text else text.rsplit("$.")[-1][:-1]
            raise validation_error(f"{field}: {text}", field=field) from None
        return event


def busy(status: int = 503, retry_after: str | None = None) -> Fault:
    """Answer an error instead, and accept nothing."""
    headers = {"Retry-After": retry_after} if retry_after is not None else {}
    body = {"code": "x", "message": "come again", "http_status_code": status}
    return lambda _: web.json_response(body, status=status, headers=headers)


def cut(request: web.Request) -> None:
    """Cut the connection; what follows is written to nobody."""
    assert request.transport is not None
    request.transport.abort()


@asynccontextmanager
async def running_gateway() -> AsyncIterator[Gateway]:
    """Serve on a free port of the loopback."""
    gateway = Gateway()
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_post("/v1/events/bulk", gateway.handle)
    app.router.add_post("/v1/events", gateway.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    gateway.url = "http://{}:{}".format(*runner.addresses[0][:2])
    yield gateway
    await runner.cleanup()


class Ran(NamedTuple):
    """How the command ended."""

    status: int
    out: str
    err: str


class Tally:
    """Runs the real command, with its state and data below a directory of the test."""

    def __init__(self, directory: Path, gateway: Gateway) -> None:
        self.directory = directory
        self.env = {
            **{name: value for name, value in os.environ.items() if "TALLY" not in name},
            "XDG_STATE_HOME": str(directory / "state"),
            "TALLY_DATA": str(directory / "data"),
            "TALLY_URL": gateway.url,
            "TALLY_API_KEY": KEY,
            "PYTHONWARNINGS": "error",
            "COLUMNS": "200",
        }

    async def start(self, *args: object, **streams: Any) -> asyncio.subprocess.Process:
        """Start the command; every stream is a pipe unless another is given."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            TALLY,
            *map(str, args),
            cwd=self.directory,
            env=self.env,
            **{"stdin": pipe, "stdout": pipe, "stderr": pipe, **streams},
        )

    async def run(self, *args: object, stdin: bytes = b"") -> Ran:
        """Run the command to its end."""
        process = await self.start(*args)
        return await self.end_of(process, stdin)

    async def end_of(self, process: asyncio.subprocess.Process, stdin: bytes = b"") -> Ran:
        """Wait for a started command; one that hangs is killed."""
        try:
            out, err = await asyncio.wait_for(process.communicate(stdin), 30)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())

    @property
    def places(self) -> list[Path]:
        """The places that unfinished loads have left."""
        return list((self.directory / "state").glob("tally/loads/*.json"))


def event(number: int, **more: object) -> dict[str, Any]:
    """An event of a test; its ID and its name tell the number."""
    return {
        "event_id": f"e{number}",
        "event_name": f"n{number}",
        "external_customer_id": "acme",
        **more,
    }


def ndjson(*events: object) -> bytes:
    """Events as the lines of a file."""
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)
