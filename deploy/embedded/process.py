"""One process of the stack: started, started again when it dies, stopped when all stop."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

_log = logging.getLogger(__name__)

_FIRST_BACKOFF_S: Final = 0.2
_LAST_BACKOFF_S: Final = 10.0
_SETTLED_S: Final = 30.0  # whoever lived this long starts again without delay


class ChildProcess:
    """A module run as ``python -m``, kept alive until `stop`.

    It hears of this process's death through ``parent_pipe``, a reading end, and reports to be
    ready through a pipe of its own. It stands in its own process group, so that a Ctrl-C at the
    terminal reaches only the supervisor, which stops the parts in their order.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        env: Mapping[str, str],
        *,
        parent_pipe: int,
    ) -> None:
        self.name = name
        self.ready = asyncio.Event()
        self._arguments = arguments
        self._env = env
        self._parent_pipe = parent_pipe
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._keeper = asyncio.create_task(self._keep_alive())

    async def stop(self, timeout_s: float) -> None:
        """Ask it to drain and wait; after ``timeout_s`` seconds it is killed."""
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
        else:
            self._keeper.cancel()
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._ended())
        except TimeoutError:
            _log.warning("%s did not end within %g s and is killed", self.name, timeout_s)
            self.kill()
            await self._ended()

    def kill(self) -> None:
        """End it at once."""
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _ended(self) -> None:
        with suppress(asyncio.CancelledError):
            await self._keeper

    async def _keep_alive(self) -> None:
        backoff_s = _FIRST_BACKOFF_S
        while not self._stopping:
            started_at = time.monotonic()
            try:
                how = f"ended with status {await self._run_once()}"
            except OSError as error:
                how = f"could not be started: {error}"
            if self._stopping:
                return
            if time.monotonic() - started_at >= _SETTLED_S:
                backoff_s = _FIRST_BACKOFF_S
            _log.warning("%s %s; started again in %g s", self.name, how, backoff_s)
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _LAST_BACKOFF_S)

    async def _run_once(self) -> int:
        read_end, write_end = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._arguments,
                f"--parent-pipe={self._parent_pipe}",
                f"--ready-pipe={write_end}",
                env=self._env,
                pass_fds=(self._parent_pipe, write_end),
                stdin=asyncio.subprocess.DEVNULL,
                process_group=0,
            )
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        watching = asyncio.create_task(self._watch_ready(read_end))
        try:
            return await self._process.wait()
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            self.ready.clear()

    async def _watch_ready(self, read_end: int) -> None:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb")
        )
        try:
            if await reader.readline():
                self.ready.set()
        finally:
            transport.close()
