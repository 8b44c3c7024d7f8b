"""The router as compose runs it: HAProxy itself on our configuration, between real sockets."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from tests.support.clickhouse import free_port
from tests.support.nameserver import Nameserver, nameserver

CONFIGURATION = Path(__file__).resolve().parents[2] / "deploy" / "compose" / "router.cfg"
_STOP_S = 15.0
_MAX_LINE_BYTES = 1 << 17


async def until(condition: Callable[[], Any], *, within_s: float = 60.0, what: str = "") -> None:
    """Wait until it holds, while this loop's servers go on answering."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what or condition}"
        await asyncio.sleep(0.02)


class Replica:
    """One replica of a service: ``address`` is its own, the port that of the whole service.

    It notes every request in ``seen`` and answers what it got, or what ``handler`` answers.
    """

    def __init__(self, service: str, address: str, port: int) -> None:
        self.service = service
        self.address = address
        self.port = port
        self.is_ready = True
        self.seen: list[str] = []
        self.handler: Callable[[web.Request], Any] = self._echo
        self._runner: web.AppRunner | None = None

    async def start(self, app: web.Application | None = None) -> None:
        """Listen, with an application of its own if one is given."""
        if app is None:
            app = web.Application()
            app.router.add_get("/readyz", self._ready)
            app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,  # as the services run
            shutdown_timeout=0.1,
            max_line_size=1 << 17,
            max_field_size=1 << 17,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self.address, self.port).start()

    async def stop(self) -> None:
        """Cut every connection and listen no more. May be called twice."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def answers_ready(self) -> bool:
        """Whether it says so itself, or what listens in its place, which may be a process."""
        connection = http.client.HTTPConnection(self.address, self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    async def _ready(self, _request: web.Request) -> web.Response:
        return web.Response(status=200 if self.is_ready else 503)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(f"{request.method} {request.raw_path}")
        answer: web.StreamResponse = await self.handler(request)
        return answer

    async def _echo(self, request: web.Request) -> web.Response:
        size = 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
        return web.json_response(
            {
                "service": self.service,
                "address": self.address,
                "asked": f"{request.method} {request.raw_path}",
                "headers": {name.lower(): value for name, value in request.headers.items()},
                "body_bytes": size,
            }
        )


@dataclass
class Router:
    """A router that runs; ``session`` talks to it."""

    port: int
    session: ClientSession
    names: Nameserver
    process: subprocess.Popen[bytes]
    log: Path
    _ports: dict[str, int]
    _stack: AsyncExitStack
    _addresses: itertools.count[int]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def listens(self) -> bool:
        """Whether it takes connections."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def replica(self, service: str) -> Replica:
        """Give a new replica that does not listen yet, at an address that nothing else has."""
        made = Replica(service, f"127.0.1.{next(self._addresses)}", self._ports[service])
        self._stack.push_async_callback(made.stop)
        return made

    async def scale(self, service: str, *replicas: Replica) -> None:
        """Have the name server tell exactly these, and wait until the router uses those ready.

        A replica that it has just heard of counts as ready until the first check says otherwise.
        """
        self.names.addresses[service] = [replica.address for replica in replicas]
        ready = sum(replica.is_ready for replica in replicas)
        await self.until_ready(service, ready)

    async def until_ready(self, service: str, replicas: int) -> None:
        """Wait until the router counts so many replicas of a service as ready."""
        name = {"gateway": "gateways_ready", "query": "query_services_ready"}[service]
        deadline = time.monotonic() + 60
        while True:
            async with self.session.get("/readyz") as answer:
                counted = (await answer.json())[name]
            if counted == replicas:
                return
            assert time.monotonic() < deadline, f"the router counts {counted} of {service}"
            await asyncio.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGUSR1) -> None:
        """Tell it to stop: SIGUSR1, as its image does, lets what is under way finish."""
        self.process.send_signal(number)


@asynccontextmanager
async def running_router(
    directory: Path, changed: Mapping[str, str] | None = None
) -> AsyncIterator[Router]:
    """Run a router that knows no replica yet. Skips where HAProxy is not installed.

    ``changed`` are texts of the configuration, and what stands in their place: for tests that
    can't wait as long as it does.
    """
    if sys.platform != "linux":
        pytest.skip("replicas need addresses of their own on loopback, which Linux alone gives")
    program = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("haproxy is needed here: apt-get install haproxy")
        # `make test` promises to pass with Python and make alone, and no package of Python's
        # brings HAProxy; CI, where this fails instead, installs it.
        pytest.skip("needs haproxy, which 'apt-get install haproxy' installs")
    port, ports = free_port(), {"gateway": free_port(), "query": free_port()}
    log, configuration = directory / "router.log", directory / "router.cfg"
    text = CONFIGURATION.read_text()
    for old, new in (changed or {}).items():
        assert old in text, f"the configuration has no {old!r}"
        text = text.replace(old, new)
    configuration.write_text(text)
    async with AsyncExitStack() as stack:
        names, dns = await stack.enter_async_context(nameserver())
        names.addresses = {"gateway": [], "query": []}
        env = {
            **os.environ,
            "TALLY_ROUTER_BIND": f"127.0.0.1:{port}",
            "TALLY_ROUTER_DNS": dns,
            "TALLY_GATEWAY": f"gateway:{ports['gateway']}",
            "TALLY_QUERY": f"query:{ports['query']}",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program, "-db", "-f", str(configuration)], env=env, stdout=output, stderr=output
            )
        stack.callback(_end, process)
        session = await stack.enter_async_context(ClientSession(f"http://127.0.0.1:{port}"))
        router = Router(port, session, names, process, log, ports, stack, itertools.count(1))
        await until(lambda: router.listens() or process.poll() is not None, what="it listens")
        assert process.poll() is None, f"the router ended:\n{log.read_text()}"
        yield router


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
