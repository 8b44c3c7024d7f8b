"""``tally up``: the whole pipeline on this machine, until a signal."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import aiohttp

from deploy.clickhouse.store import connect, migrate
from deploy.client import CLIENT_FILE
from deploy.embedded.client_file import credentials, write_client_file
from deploy.embedded.log.files import AlreadyOpen, lock
from deploy.embedded.process import ChildProcess
from deploy.settings import UpSettings

_log = logging.getLogger(__name__)

_READY_WITHIN_S: Final = 60.0
_PORT_WITHIN_S: Final = 6.0  # what an earlier run that was killed may still need to drain
# 15 s in all: first nothing more comes in, then what is held is stored, then the store closes.
_STOP_API_S: Final = 4.5
_STOP_CONSUMER_S: Final = 4.5
_STOP_CLICKHOUSE_S: Final = 5.5
_CONSUMER_DRAIN_S: Final = "4"


class CannotStart(Exception):  # noqa: N818 (named by what it means)
    """Something outside keeps the stack from starting; the text says what to do."""


async def up(settings: UpSettings, env: Mapping[str, str]) -> int:
    """Run the stack until SIGINT or SIGTERM, drain it, and give the exit status.

    ``env`` is what the processes get, with the addresses of one another added.

    Raises CannotStart. A second signal ends everything at once with status 130.
    """
    try:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        directory_lock = lock(settings.data / "up.lock")
    except AlreadyOpen:
        raise CannotStart(
            f"another 'tally up' runs on {settings.data}; stop it, or set TALLY_DATA"
        ) from None
    except OSError as error:
        raise CannotStart(f"TALLY_DATA={settings.data} can't be used: {error.strerror}") from None
    stack = Stack(settings, env)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            stack.kill()
            os._exit(130)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    starting = asyncio.create_task(stack.start())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await stop.wait()
    finally:
        for task in (starting, stopping):
            task.cancel()
        await asyncio.wait((starting, stopping))
        _log.info("stopping: what was accepted is being stored")
        await stack.stop()
        directory_lock.close()
        _log.info("stopped")
    return 0


class Stack:
    """The three processes: ClickHouse, the API (gateway and query service), the consumer."""

    def __init__(self, settings: UpSettings, env: Mapping[str, str]) -> None:
        self._settings = settings
        self._env = env
        self._log_directory = settings.data / "log"
        self._children: list[tuple[ChildProcess, float]] = []
        # Never written to: it closes when this process ends, and the children see that.
        self._parent_pipe, self._alive = os.pipe()

    async def start(self) -> None:
        """Start everything and return when events can be sent and read. Raises CannotStart."""
        settings = self._settings
        await _wait_for_port(settings.host, settings.port)
        clickhouse_port = _free_port()
        clickhouse_url = f"http://127.0.0.1:{clickhouse_port}"
        env = {
            **self._env,
            "TALLY_CLICKHOUSE_URL": clickhouse_url,
            "TALLY_CONSUMER_DRAIN_TIMEOUT_S": _CONSUMER_DRAIN_S,
        }
        kept = credentials(settings.data, self._log_directory)
        log = f"--log={self._log_directory}"
        clickhouse = self._child(
            "deploy.embedded.clickhouse",
            [f"--path={settings.data / 'clickhouse'}", f"--port={clickhouse_port}"],
            env,
            _STOP_CLICKHOUSE_S,
        )
        api = self._child(
            "deploy.embedded.api",
            [log, f"--host={settings.host}", f"--port={settings.port}"],
            env,
            _STOP_API_S,
        )
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                await clickhouse.ready.wait()
                await self._migrate(clickhouse_url)
                consumer = self._child("deploy.embedded.consumer", [log], env, _STOP_CONSUMER_S)
                await consumer.ready.wait()
                await api.ready.wait()
                await _wait_for_queries(settings.base_url)
        except TimeoutError:
            raise CannotStart(
                f"the stack was not ready within {_READY_WITHIN_S:g} s; "
                "the lines above say which part fails"
            ) from None
        values = {"BASE_URL": settings.base_url, **kept, "CLICKHOUSE_URL": clickhouse_url}
        write_client_file(settings.data / CLIENT_FILE, values)
        _greet(settings.base_url, kept["API_KEY"], settings.data / CLIENT_FILE)

    async def stop(self) -> None:
        """Drain and end the parts, from the way in to the store."""
        by_name = {child.name: (child, timeout_s) for child, timeout_s in self._children}
        for name in ("api", "consumer", "clickhouse"):
            if name in by_name:
                child, timeout_s = by_name[name]
                await child.stop(timeout_s)

    def kill(self) -> None:
        """End every part at once."""
        for child, _ in self._children:
            child.kill()

    def _child(
        self, module: str, arguments: list[str], env: dict[str, str], stop_s: float
    ) -> ChildProcess:
        child = ChildProcess(
            module.rpartition(".")[2],
            ["-m", module, *arguments],
            env,
            parent_pipe=self._parent_pipe,
        )
        self._children.append((child, stop_s))
        return child

    async def _migrate(self, url: str) -> None:
        client = await connect(url, wait_s=_READY_WITHIN_S)
        try:
            await migrate(client)
        finally:
            await client.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _wait_for_port(host: str, port: int) -> None:
    """Wait until the port can be had. Raises CannotStart if another program keeps it."""
    deadline = time.monotonic() + _PORT_WITHIN_S
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                return
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise CannotStart(
                        f"can't listen on {host}:{port}: {error}; set TALLY_HOST or TALLY_PORT"
                    ) from None
        if time.monotonic() >= deadline:
            raise CannotStart(f"port {port} is in use by another program; set TALLY_PORT")
        await asyncio.sleep(0.1)


async def _wait_for_queries(base_url: str) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            with suppress(aiohttp.ClientError):
                async with session.get(f"{base_url}/query/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)


def _greet(base_url: str, api_key: str, client_file: Path) -> None:
    event = '{"event_name":"api.request","external_customer_id":"acme","properties":{"bytes":512}}'
    sys.stdout.write(
        f"""
Tally is ready at {base_url}
  key     {api_key}
  send    curl -H 'x-api-key: {api_key}' -H 'content-type: application/json' \
-d '{event}' {base_url}/v1/events
  read    curl -H 'x-api-key: {api_key}' '{base_url}/v1/events?external_customer_id=acme'
  both the address and the key are in {client_file}; Ctrl-C stops
"""
    )
    sys.stdout.flush()
