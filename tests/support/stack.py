"""The embedded stack as a user runs it: the installed command, in a directory, on a free port."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.embedded.log.lag import read_lag
from tests.support.clickhouse import free_port

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
    """A `tally up` that runs, and what its client.env says."""

    def __init__(self, data: Path, port: int) -> None:
        self.data = data
        self.env = {**os.environ, "TALLY_DATA": str(data), "TALLY_PORT": str(port)}
        self.log_path = data.with_name(data.name + ".log")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        client_env = self.data / "client.env"
        before = client_env.stat().st_mtime_ns if client_env.exists() else 0
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen([TALLY, "up"], env=self.env, stdout=log, stderr=log)

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
        """The process ID of ``api``, ``consumer`` or ``clickhouse``, if it runs."""
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
        return sum(partition.records for partition in read_lag(self.data / "log"))

    def log_size(self) -> int:
        """How many records were ever appended, asked of the log's files."""
        try:
            return sum(partition.end_offset for partition in read_lag(self.data / "log"))
        except sqlite3.OperationalError:
            return 0

    def wait_until_stored(self, within_s: float = 60.0) -> None:
        """Wait until everything that was accepted has been stored and committed."""
        wait_until(lambda: self.lag() == 0, within_s=within_s, what="no lag")


@contextmanager
def running_stack(directory: Path) -> Iterator[Stack]:
    """Run a stack of its own in a directory, and end it."""
    stack = Stack(directory / "tally-data", free_port())
    try:
        stack.start()
        yield stack
    finally:
        if stack.process is not None:
            stack.stop()
