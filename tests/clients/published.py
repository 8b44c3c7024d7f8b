"""Published clients, installed as their users install them and driven from outside.

Each runs in a process of its own, under a script that reads a call as a line of JSON and answers
with a line: so two versions of one package are tested side by side, and none sees our packages.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).with_name("scripts")
_INSTALL_WITHIN_S = 300
_ANSWER_WITHIN_S = 60.0


class Refused(Exception):  # noqa: N818 (names what happened, as the client's own do)
    """The client raised: ``kind`` is its exception's class; the rest is what it read."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.kind: str = error["kind"]
        self.status: int | None = error.get("status")
        self.data: dict[str, Any] = error.get("data") or {}
        self.message: str = error["message"]


@dataclass
class Client:
    """A script that runs; ``url`` and ``key`` are what it gives its client."""

    process: subprocess.Popen[str]
    errors: Path
    url: str
    key: str

    def __call__(
        self, call: str, *arguments: Any, options: dict[str, Any] | None = None, **named: Any
    ) -> Any:
        """Make a call and give what the client made of the answer. Raises Refused."""
        asked = {
            "url": self.url,
            "key": self.key,
            "call": call,
            "arguments": list(arguments),
            "named": named,
            "options": options or {},
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        deadline = threading.Timer(_ANSWER_WITHIN_S, self.process.kill)
        deadline.start()
        try:
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        finally:
            deadline.cancel()
        assert line, f"the client's process ended\n{self.errors.read_text()}"
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer.get("answer")

    def at(self, url: str | None = None, key: str | None = None) -> Client:
        """The same process with another server or key."""
        return Client(self.process, self.errors, url or self.url, key or self.key)


@contextmanager
def running(command: Sequence[str | Path], env: dict[str, str]) -> Iterator[Client]:
    """Run a script, and end it."""
    with tempfile.TemporaryDirectory() as directory:
        errors = Path(directory) / "stderr"
        with errors.open("w") as stderr:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env={**os.environ, **env},
            )
        try:
            yield Client(process, errors, "", "")
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()


@contextmanager
def python_client(requirement: str, script: str) -> Iterator[Client]:
    """Run a script with what pip installs for one pinned requirement, and with nothing else."""
    packages = _pip_install(requirement)
    # -S: our own packages stay out of sight.
    with running([sys.executable, "-S", SCRIPTS / script], {"PYTHONPATH": str(packages)}) as client:
        yield client


@contextmanager
def node_client(packages: Path, script: str) -> Iterator[Client]:
    """Run a script with the packages that npm installed into a directory."""
    with running(["node", SCRIPTS / script, packages], {}) as client:
        yield client


def _pip_install(requirement: str) -> Path:
    """Install it into a directory of the virtual environment, once for all runs."""
    cache = Path(sys.prefix) / "published-clients"
    directory = cache / requirement.replace("==", "-")
    if directory.exists():
        return directory
    cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        target = Path(temporary) / "packages"
        _install(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet"),
                *("--disable-pip-version-check", "--target", str(target), requirement),
            ]
        )
        try:
            target.rename(directory)
        except OSError:  # another run was faster
            assert directory.exists()
    return directory


def npm_install(directory: Path, packages: Sequence[str]) -> Path:
    """Install packages without a lock file, so what they depend on is today's newest."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        _give_up("node and npm are needed here")
    _install(
        [str(npm), "install", "--no-audit", "--no-fund", "--prefix", str(directory), *packages]
    )
    return directory


def _install(command: Sequence[str]) -> None:
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=_INSTALL_WITHIN_S
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        _give_up(f"can't install: {error}\n{error.stderr}")


def _give_up(reason: str) -> None:
    """Skip, for `make test` passes without a network, node or npm; but never on CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
