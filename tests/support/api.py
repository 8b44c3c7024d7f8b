"""The API process of the embedded stack, alone: a gateway and a query service on a real log, in a
process of its own, which is enough for what comes before the log.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from deploy.embedded.log.keys import append_key
from schemas.keys import NewKey, make_key
from tests.support.clickhouse import free_port
from tests.support.stack import wait_until

_ROOT = Path(__file__).resolve().parents[2]


class Api:
    """A process that runs, its log's directory and what it prints."""

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        self.directory = directory / "log"
        self.output_path = directory / "api.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        with self.output_path.open("ab") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "deploy.embedded.api"),
                    *("--log", str(self.directory), "--port", str(self.port)),
                ],
                cwd=_ROOT,
                env={**os.environ, **env},
                stdout=output,
                stderr=output,
            )

    def new_key(self, tenant: str = "acme", **terms: Any) -> NewKey:
        """Make a key with `make_key`'s terms; it counts within a second."""
        made = make_key(tenant, "", **terms)
        append_key(self.directory, made.record)
        return made

    def is_ready(self) -> bool:
        """Whether it takes events."""
        assert self.process.poll() is None, self.output()
        try:
            with urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def output(self) -> str:
        """Everything it printed."""
        return self.output_path.read_text()

    def memory_bytes(self, *, peak: bool = False) -> int:
        """What it has in RAM, or the most it ever had (Linux: VmRSS, VmHWM)."""
        name = "VmHWM:" if peak else "VmRSS:"
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"the kernel does not tell {name}")

    def cpu_s(self) -> float:
        """The seconds of CPU that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running_api(directory: Path, **env: str) -> Iterator[Api]:
    """Run it with these variables set, ready, and end it."""
    api = Api(directory, env)
    try:
        wait_until(api.is_ready, within_s=60, what="the API process")
        yield api
    finally:
        api.process.terminate()
        try:
            api.process.wait(20)
        except subprocess.TimeoutExpired:
            api.process.kill()
            api.process.wait()
