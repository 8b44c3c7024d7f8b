"""A ClickHouse for tests: a container where Docker answers, else the embedded server.

Tests of failures (SIGKILL, SIGSTOP, a second start on the same directory) always take the
embedded one, with ``embedded_clickhouse``.
"""

from __future__ import annotations

import functools
import gc
import http.client
import os
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_IMAGE = "clickhouse/clickhouse-server:26.9"
_START_S = 60.0
_STOP_S = 20.0
_ROOT = Path(__file__).resolve().parents[2]


@dataclass
class ClickHouse:
    """A server that answers at ``url``; ``process`` is None for one in a container."""

    port: int
    host: str = "127.0.0.1"
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@dataclass
class EmbeddedClickHouse(ClickHouse):
    """The real server process on ``directory``; it can be killed and started again."""

    directory: Path = field(kw_only=True)
    log: Path = field(kw_only=True)

    def start(self) -> None:
        """Start it, again on the same directory and port, and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "deploy.embedded.clickhouse"),
                    *("--path", str(self.directory), "--port", str(self.port)),
                ],
                cwd=_ROOT,
                stdout=log,
                stderr=log,
            )
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Return once the server answers; fail with its log if it ends first."""
        deadline = time.monotonic() + _START_S
        while not _answers(self.host, self.port):
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"ClickHouse did not start:\n{self.log.read_text()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; give the exit status. A server that has ended already keeps its own."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


@contextmanager
def clickhouse(directory: Path) -> Iterator[ClickHouse]:
    """Run a ClickHouse on an empty database, in Docker if there is one."""
    if docker_answers():
        with _container() as server:
            yield server
    else:
        with embedded_clickhouse(directory) as embedded:
            yield embedded


@contextmanager
def embedded_clickhouse(directory: Path, port: int | None = None) -> Iterator[EmbeddedClickHouse]:
    """Run the embedded server on ``directory``, on a free port unless one is given."""
    directory.mkdir(parents=True, exist_ok=True)
    server = EmbeddedClickHouse(
        port=port or free_port(),
        directory=directory,
        log=directory.with_name(f"{directory.name}.log"),
    )
    try:
        server.start()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop()


@functools.cache
def docker_answers() -> bool:
    """Whether a Docker engine is there: the one place where tests choose their ClickHouse."""
    with warnings.catch_warnings():
        # The client leaves its socket open where nobody listens.
        warnings.simplefilter("ignore", ResourceWarning)
        answers = _ping_docker()
        gc.collect()
    return answers


def free_port() -> int:
    """Give a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def clickhouse_with_users() -> Iterator[ClickHouse]:
    """Run one in Docker whose user ``default`` may make others; the embedded one has none."""
    with _container("CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT") as server:
        yield server


@contextmanager
def _container(switch: str = "CLICKHOUSE_SKIP_USER_SETUP") -> Iterator[ClickHouse]:
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(_IMAGE).with_exposed_ports(8123)
    with container.with_env(switch, "1") as running:
        server = ClickHouse(
            port=int(running.get_exposed_port(8123)), host=running.get_container_host_ip()
        )
        deadline = time.monotonic() + _START_S
        while not _answers(server.host, server.port):
            assert time.monotonic() < deadline, "ClickHouse in Docker did not answer"
            time.sleep(0.1)
        yield server


def _ping_docker() -> bool:
    # The client leaks a socket when nobody is there, so it is asked only where somebody may be.
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").is_socket():
        return False
    import docker
    import docker.errors

    try:
        client = docker.from_env(timeout=5)
    except docker.errors.DockerException:
        return False
    try:
        return bool(client.ping())
    except docker.errors.DockerException:
        return False
    finally:
        client.close()


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
