"""One broker as a child of this process: started, watched, stopped."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from deploy.embedded.kafka.config import HOST, OUTPUT, Node, broker_command, new_cluster_id
from deploy.embedded.kafka.errors import CannotStartError
from deploy.embedded.kafka.jars import fetch_jars, find_java
from deploy.embedded.kafka.launch import (
    check_port,
    end_with_parent,
    log_bytes,
    prepare,
    why_it_ended,
)
from deploy.embedded.kafka.wire import MAX_ANSWER_BYTES, SIZE, brokers, metadata_request
from deploy.embedded.log.files import AlreadyOpen, LockFile, lock

_log = logging.getLogger(__name__)

_NODE_ID: Final = 1
_READY_WITHIN_S: Final = 60.0
_ANSWER_S: Final = 2.0
_ASK_EVERY_S: Final = 0.1


class LocalBroker:
    """A lone broker on loopback, all of it in ``directory``, which one process at a time may use.

    Started again on the same directory it has the topics, records and commits that it had. What
    it acknowledged survives the end of its process in any way, but not a loss of power: Kafka
    relies on replicas for that, and here is none.
    """

    def __init__(self, directory: Path, *, cache: Path, port: int | None = None) -> None:
        """Choose a free port unless one is given. ``cache`` is where the jars are kept."""
        self._directory = directory.resolve()
        self._cache = cache
        self._port = _free_port() if port is None else port
        self._process: asyncio.subprocess.Process | None = None
        self._lock: LockFile | None = None
        self._logged_before = 0

    @property
    def bootstrap_servers(self) -> str:
        """Its address, as clients of Kafka take it."""
        return f"{HOST}:{self._port}"

    async def start(self) -> None:
        """Start it, and return when it takes records. The first time fetches the jars.

        Raises CannotStartError. Then, and cancelled, nothing of it is left running.
        """
        java = await find_java()
        jars = await fetch_jars(self._cache)
        try:
            self._lock = _lock(self._directory)
            check_port(self._port)
            node = Node(port=self._port, voters={_NODE_ID: _free_port()}, node_id=_NODE_ID)
            await prepare(self._directory, node, java=java, jars=jars, cluster_id=new_cluster_id())
            self._logged_before = log_bytes(self._directory)
            with (self._directory / OUTPUT).open("wb") as output:
                self._process = await asyncio.create_subprocess_exec(
                    *broker_command(java, jars),
                    cwd=self._directory,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    process_group=0,  # a Ctrl-C at the terminal is for this process to act on
                    preexec_fn=end_with_parent(),
                )
            await self._wait_until_ready(self._process)
        except BaseException:
            await self.stop(0)
            raise

    async def wait(self) -> int:
        """Wait until it ends by itself; give its status, negative for a signal, as Popen does."""
        assert self._process is not None, "it was not started"
        return await self._process.wait()

    def why_it_ended(self) -> str:
        """Give one line on that, for a log."""
        return why_it_ended(self._directory, since_bytes=self._logged_before)

    async def stop(self, timeout_s: float) -> None:
        """Ask it to end and wait; after ``timeout_s`` seconds it is killed. May be called twice."""
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(timeout_s):
                    await process.wait()
            except TimeoutError:
                if timeout_s:
                    _log.warning("Kafka did not end within %g s and is killed", timeout_s)
            finally:
                if process.returncode is None:
                    with suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()
        if self._lock is not None:
            self._lock.close()

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> None:
        deadline = time.monotonic() + _READY_WITHIN_S
        while not await _is_ready(self._port):
            if process.returncode is not None:
                raise CannotStartError(
                    f"Kafka ended with status {process.returncode}: {self.why_it_ended()}"
                )
            if time.monotonic() >= deadline:
                raise CannotStartError(
                    f"Kafka is not ready after {_READY_WITHIN_S:g} s: {self.why_it_ended()}"
                )
            # Nothing tells when a port begins to answer.
            await asyncio.sleep(_ASK_EVERY_S)


async def _is_ready(port: int) -> bool:
    """Whether the broker at the port lists itself among those that work."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(metadata_request())
                (size,) = SIZE.unpack(await reader.readexactly(SIZE.size))
                if not 0 < size <= MAX_ANSWER_BYTES:
                    return False
                return _NODE_ID in brokers(await reader.readexactly(size))
            finally:
                writer.close()
    except (OSError, EOFError, ValueError):  # TimeoutError is an OSError
        return False


def _lock(directory: Path) -> LockFile:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return lock(directory / "broker.lock")
    except AlreadyOpen:
        raise CannotStartError(
            f"another Kafka runs on {directory}; stop it, or choose another directory"
        ) from None
    except OSError as error:
        raise CannotStartError(f"{directory} can't be used: {error.strerror}") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
