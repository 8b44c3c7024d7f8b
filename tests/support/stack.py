"""The stack as a user runs it: the installed command, in a directory, on a free port.

It runs on the embedded log, on a Kafka that is there (then with topics of its own), or on a broker
of its own.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.client import find_kafka
from deploy.embedded.log.lag import PartitionLag, read_lag
from deploy.kafka_log.lag import LagUnknown, read_group
from tests.support.clickhouse import free_port
from tests.support.kafka import need_jars

OWN_BROKER = ""
TALLY = Path(sys.executable).with_name("tally")
READY_WITHIN_S = 60.0


def wait_until(condition: Callable[[], Any], *, within_s: float = 30.0, what: str = "") -> Any:
    """Give the first true answer of ``condition``; fail if there is none in time."""
    deadline = time.monotonic() + within_s
    while True:
        if answer := condition():
            return answer
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what or condition}"
        time.sleep(0.05)


class Stack:
    """A `tally up` that runs, and what its client.env says.

    ``kafka`` is the address of one, `OWN_BROKER`, or None for the embedded log; ``settings`` are
    variables of its environment.
    """

    def __init__(
        self,
        data: Path,
        port: int,
        *,
        kafka: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.data = data
        environ = {name: text for name, text in os.environ.items() if "_KAFKA_" not in name}
        # What a user's shell has, for all commands but `tally up`: client.env tells them the rest.
        self.env = {**environ, "TALLY_DATA": str(data), "TALLY_PORT": str(port)}
        self._up_env = {**self.env, **(settings or {})}
        self._up = [str(TALLY), "up"]
        if kafka is not None:
            self._up += ["--kafka", *([kafka] if kafka else [])]
        if kafka:
            self._up_env["TALLY_KAFKA_TOPIC_PREFIX"] = f"stack-{secrets.token_hex(4)}"
        self.log_path = data.with_name(data.name + ".log")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        client_env = self.data / "client.env"
        before = client_env.stat().st_mtime_ns if client_env.exists() else 0
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(self._up, env=self._up_env, stdout=log, stderr=log)

        def is_ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.output()
            return client_env.exists() and client_env.stat().st_mtime_ns > before

        wait_until(is_ready, within_s=READY_WITHIN_S, what=f"ready\n{self.output()}")

    def output(self) -> str:
        """Everything that it and its processes printed."""
        return self.log_path.read_text() if self.log_path.exists() else ""

    @property
    def client(self) -> dict[str, str]:
        """The values of client.env."""
        lines = (self.data / "client.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    @property
    def url(self) -> str:
        """BASE_URL."""
        return self.client["BASE_URL"]

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request of the first tenant."""
        return {"x-api-key": self.client["API_KEY"], "content-type": "application/json"}

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it, wait, and give its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(timeout=30)
        self.process = None
        return status

    def child_pid(self, part: str) -> int | None:
        """The process ID of ``api``, ``consumer``, ``clickhouse`` or ``kafka``, if it runs."""
        assert self.process is not None
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        for pid in pids.split():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except FileNotFoundError:
                continue
            if f"deploy.embedded.{part}\0".encode() in command:
                return int(pid)
        return None

    def tally(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        """Run the installed command against this stack."""
        return subprocess.run(
            [TALLY, *arguments],
            env=self.env,
            input=stdin.decode(),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def new_key(self, tenant: str) -> str:
        """Make a key with the command line."""
        made = self.tally("keys", "create", "--tenant", tenant)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def lag(self) -> int:
        """How many records the consumer has not committed."""
        return sum(partition.records for partition in self._read_lag())

    def log_size(self) -> int:
        """How many records were ever appended, asked of the log itself."""
        try:
            return sum(partition.end_offset for partition in self._read_lag())
        except (LagUnknown, sqlite3.OperationalError):
            return 0

    def wait_until_stored(self, within_s: float = 60.0) -> None:
        """Wait until everything that was accepted has been stored and committed."""
        wait_until(lambda: self.lag() == 0, within_s=within_s, what="no lag")

    def _read_lag(self) -> list[PartitionLag]:
        kafka = find_kafka(self.env)
        if kafka is None:
            return read_lag(self.data / "log")
        with ThreadPoolExecutor(1) as thread:  # the caller may stand in a loop already
            return thread.submit(asyncio.run, read_group(kafka)).result().lag


@contextmanager
def running_stack(
    directory: Path, *, kafka: str | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[Stack]:
    """Run a stack of its own in a directory, and end it; the rest is as for `Stack`."""
    if kafka == OWN_BROKER:
        need_jars()
    stack = Stack(directory / "tally-data", free_port(), kafka=kafka, settings=settings)
    try:
        stack.start()
        yield stack
    finally:
        if stack.process is not None:
            stack.stop()
