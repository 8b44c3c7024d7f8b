"""``tally up``: the whole pipeline on this machine, until a signal."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Mapping

from deploy.embedded.errors import CannotStart
from deploy.embedded.log.files import AlreadyOpen, lock
from deploy.embedded.stack import Stack
from deploy.settings import UpSettings

_log = logging.getLogger(__name__)


async def up(settings: UpSettings, env: Mapping[str, str]) -> int:
    """Run the stack until SIGINT or SIGTERM, drain it, and give the exit status.

    ``env`` is what the processes get, with the addresses of one another added.

    Raises what `Stack.start` raises. A second signal ends everything at once with status 130.
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
