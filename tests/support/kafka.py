"""A Kafka for tests: a given one, a container where Docker answers, else a broker from the jars.

Tests of failures (SIGKILL, SIGSTOP, a leader lost) always take brokers from the jars, with
``Broker`` and ``cluster``, and so do tests of listeners with TLS and users.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import subprocess
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.kafka.config import (
    HOST,
    LOG,
    OUTPUT,
    Listener,
    Node,
    broker_command,
    new_cluster_id,
)
from deploy.embedded.kafka.errors import CannotStartError
from deploy.embedded.kafka.jars import fetch_jars, find_java
from deploy.embedded.kafka.launch import check_port, end_with_parent, prepare
from deploy.embedded.kafka.settings import jar_cache
from tests.support.clickhouse import docker_answers, free_port
from tests.support.kafka_answers import brokers_at
from tests.support.kafka_container import kafka_container

POM = Path(__file__).parents[1] / "pom.xml"
_START_S = 60.0
_STOP_S = 30.0
# A test's broker lives for seconds: compiled lightly, it starts sooner.
_JVM = ("-XX:TieredStopAtLevel=1",)
# A broker dies with the thread that started it, and a test may call from one that ends sooner.
_starter = ThreadPoolExecutor(max_workers=1)


@dataclass
class Kafka:
    """A Kafka that answers at ``bootstrap_servers``, without TLS and without users."""

    bootstrap_servers: str


class Broker:
    """One real broker on ``directory``; it can be killed, frozen and started again.

    It keeps its directory and its ports. ``node`` is by default `one_node()`; ``scram`` are users
    as `format_command` takes them; brokers of one cluster share a ``cluster_id``.
    """

    def __init__(
        self,
        directory: Path,
        node: Node | None = None,
        *,
        scram: Sequence[str] = (),
        cluster_id: str | None = None,
    ) -> None:
        self.directory = directory
        self.node = node or one_node()
        self.process: subprocess.Popen[bytes] | None = None
        self._scram = scram
        self._cluster_id = cluster_id or new_cluster_id()

    @property
    def bootstrap_servers(self) -> str:
        """Where it speaks without TLS and without users."""
        return f"{HOST}:{self.node.port}"

    def start(self) -> None:
        """Start it, again on the same directory and ports, and wait until it is ready."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start its process and don't wait: of a cluster, none is ready alone."""
        check_port(self.node.port)
        java, jars = _java_and_jars()
        _run(
            prepare(
                self.directory,
                self.node,
                java=java,
                jars=jars,
                cluster_id=self._cluster_id,
                scram=self._scram,
            )
        )
        with (self.directory / OUTPUT).open("ab") as output:
            self.process = _starter.submit(
                subprocess.Popen,
                broker_command(java, jars, jvm=_JVM),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=end_with_parent(),
            ).result()

    def wait_until_ready(self) -> None:
        """Return once it answers and takes part; fail with its log if it ends first."""
        assert self.process is not None, "it was not started"
        deadline = time.monotonic() + _START_S
        while self.node.node_id not in brokers_at(HOST, self.node.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"Kafka did not start:\n{self.output()}")
            time.sleep(0.05)

    def stop(self) -> int:
        """SIGTERM; give the exit status. A broker that has ended already keeps its own."""
        assert self.process is not None, "it was not started"
        self.process.terminate()
        try:
            return self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL: no goodbye. It may be frozen."""
        assert self.process is not None, "it was not started"
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open and nothing answers."""
        assert self.process is not None, "it was not started"
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: what was sent meanwhile is taken now."""
        assert self.process is not None, "it was not started"
        self.process.send_signal(signal.SIGCONT)

    def output(self) -> str:
        """Everything it wrote: its log, and what Java itself printed."""
        texts = []
        for name in (LOG, OUTPUT):
            with suppress(FileNotFoundError):
                texts.append((self.directory / name).read_text(errors="replace"))
        return "".join(texts)

    def __enter__(self) -> Broker:
        try:
            self.start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End it at once, in whatever state it is: its data goes with the test."""
        if self.process is not None and self.process.poll() is None:
            self.kill()


def one_node(
    *,
    port: int | None = None,
    listeners: Sequence[Listener] = (),
    properties: Mapping[str, str] | None = None,
) -> Node:
    """Describe a lone broker, on free ports unless one is given.

    ``listeners`` are further addresses, with TLS or users: see tests/support/tls.py.
    """
    return Node(
        port=port or free_port(),
        voters={1: free_port()},
        listeners=listeners,
        properties=properties or {},
    )


@contextmanager
def kafka(directory: Path) -> Iterator[Kafka]:
    """Run a Kafka without any topic, or give the one at TALLY_TEST_KAFKA, where others' may be."""
    if given := os.environ.get("TALLY_TEST_KAFKA"):
        yield Kafka(given)
    elif docker_answers():
        with kafka_container() as address:
            yield Kafka(address)
    else:
        with Broker(directory) as broker:
            yield Kafka(broker.bootstrap_servers)


@contextmanager
def cluster(
    directory: Path, count: int = 3, *, properties: Mapping[str, str] | None = None
) -> Iterator[list[Broker]]:
    """Run brokers with the IDs 1 to ``count`` as one cluster; topics may have as many replicas.

    A lost broker is noticed after 3 s, not 9, unless ``properties`` say otherwise.
    """
    voters = {node_id: free_port() for node_id in range(1, count + 1)}
    sooner = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}
    cluster_id = new_cluster_id()
    members = [
        Broker(
            directory / f"broker-{node_id}",
            Node(
                port=free_port(),
                voters=voters,
                node_id=node_id,
                properties={**sooner, **(properties or {})},
            ),
            cluster_id=cluster_id,
        )
        for node_id in voters
    ]
    try:
        for broker in members:
            broker.launch()
        for broker in members:
            broker.wait_until_ready()
        yield members
    finally:
        for broker in members:
            broker.end()


@functools.cache
def _java_and_jars() -> tuple[str, Path]:
    """Give Java and the jars; without them the test is skipped, but never on CI."""
    try:
        return _run(find_java()), _run(fetch_jars(jar_cache(os.environ), POM))
    except CannotStartError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(f"no Kafka: {error}; or set TALLY_TEST_KAFKA")


def need_jars() -> None:
    """Skip the test that starts a broker in its own way, where there are no jars."""
    _java_and_jars()


def _run(task: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end from code that may itself be called inside a loop."""
    return _starter.submit(asyncio.run, task).result()
