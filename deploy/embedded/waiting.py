"""Waiting for what the parts of a stack listen on."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from contextlib import suppress
from typing import Final

import aiohttp

from deploy.embedded.errors import CannotStart

_PORT_WITHIN_S: Final = 6.0  # what an earlier run that was killed may still need to drain


def free_port() -> int:
    """Give a port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def wait_for_port(host: str, port: int) -> None:
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


async def wait_for_queries(base_url: str) -> None:
    """Wait until the query service says that it is ready, for as long as that takes."""
    async with aiohttp.ClientSession() as session:
        while True:
            with suppress(aiohttp.ClientError):
                async with session.get(f"{base_url}/query/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)
