"""The process that ``tally up`` runs: ready when it is, an orderly end, and none of it left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.embedded.kafka.config import HOST
from tests.support.clickhouse import free_port
from tests.support.kafka_answers import brokers_at
from tests.support.stack import wait_until

pytestmark = pytest.mark.usefixtures("jars")

ROOT = Path(__file__).parents[4]
MODULE = (sys.executable, "-m", "deploy.embedded.kafka")


@dataclass
class Run:
    """One run of the module on ``directory``, as a supervisor would start it."""

    directory: Path
    port: int = field(default_factory=free_port)
    env: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    def start(self) -> None:
        ready, ready_end = os.pipe()
        parent, self.parent_end = os.pipe()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(*MODULE, "--path", str(self.directory), "--port", str(self.port)),
                    *(f"--parent-pipe={parent}", f"--ready-pipe={ready_end}"),
                ],
                cwd=ROOT,
                env=self.env,
                stdout=log,
                stderr=log,
                pass_fds=(parent, ready_end),
            )
        os.close(parent)
        os.close(ready_end)
        self.ready = os.fdopen(ready, "rb")

    def wait_until_ready(self) -> None:
        """Return when it has told so; fail with its log if it ends first."""
        told = self.ready.readline()  # empty if the process ends: nobody else holds the pipe
        assert told == b"ready\n", self.log.read_text()

    @property
    def log(self) -> Path:
        return self.directory.with_name(f"{self.directory.name}.log")

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def java(self) -> int:
        """The process ID of the broker, the only child."""
        pid = self.process.pid
        (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(child)

    def close(self) -> None:
        self.ready.close()
        os.close(self.parent_end)


@contextmanager
def running(directory: Path, **options: object) -> Iterator[Run]:
    run = Run(directory, **options)  # type: ignore[arg-type]
    run.start()
    try:
        run.wait_until_ready()
        yield run
    finally:
        run.close()  # which ends it, as a supervisor's death does
        try:
            run.process.wait(20)
        except subprocess.TimeoutExpired:
            run.process.kill()
            run.process.wait()
            raise


async def make_topic(address: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        made = await admin.create_topics([NewTopic(topic, 1, 1)])
        assert all(code == 0 for _, code, *_ in made.topic_errors), made
    finally:
        await admin.close()


async def append(address: str, topic: str) -> int:
    """Append a record and give its offset."""
    producer = AIOKafkaProducer(bootstrap_servers=address, acks="all")
    await producer.start()
    try:
        return (await producer.send_and_wait(topic, b"value")).offset
    finally:
        await producer.stop()


def one_line_of_failure(directory: Path, *, port: int, env: dict[str, str] | None = None) -> str:
    """Run it where it can't start; give the only line that is no log line."""
    done = subprocess.run(
        [*MODULE, "--path", str(directory), "--port", str(port)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not re.match(r"\d{4}-.* kafka ", line)]
    (line,) = lines
    return line


async def test_ready_means_that_records_are_taken(tmp_path: Path) -> None:
    """When it tells that it is ready, a topic can be made and a record appended, at once."""
    with running(tmp_path / "kafka") as run:
        await make_topic(run.address, "events")
        assert await append(run.address, "events") == 0


async def test_stop_and_start_keep_the_topics(tmp_path: Path) -> None:
    """SIGTERM ends it with status 0, in order; the next start goes on at the next offset."""
    with running(tmp_path / "kafka") as run:
        await make_topic(run.address, "events")
        assert await append(run.address, "events") == 0
        run.process.terminate()
        assert run.process.wait(20) == 0
        assert not brokers_at(HOST, run.port)
        assert (run.directory / "data" / ".kafka_cleanshutdown").exists()
    with running(tmp_path / "kafka") as run:
        assert await append(run.address, "events") == 1


def test_output_is_kept_from_the_terminal(tmp_path: Path) -> None:
    """The module says in a line where the broker is; what the broker says stands in a file."""
    with running(tmp_path / "kafka") as run:
        lines = run.log.read_text().splitlines()
        assert [line for line in lines if f"ready at {run.address} on {run.directory}" in line]
        assert len(lines) <= 2, lines
        assert "Kafka Server started" in (run.directory / "broker.log").read_text()


def test_broker_ends_when_its_parent_is_gone(tmp_path: Path) -> None:
    """When the supervisor's pipe closes, the broker ends in order, and then the module."""
    with running(tmp_path / "kafka") as run:
        pass
    assert run.process.returncode == 0
    assert (run.directory / "data" / ".kafka_cleanshutdown").exists()


async def test_broker_dies_with_the_module(tmp_path: Path) -> None:
    """SIGKILL of the module takes Java along, and the next start has directory and port at once."""
    with running(tmp_path / "kafka") as run:
        await make_topic(run.address, "events")
        assert await append(run.address, "events") == 0
        run.process.kill()
        run.process.wait()
        wait_until(lambda: not brokers_at(HOST, run.port), within_s=5, what="Java is gone")
    with running(tmp_path / "kafka", port=run.port) as run:
        assert await append(run.address, "events") == 1


def test_javas_death_is_told(tmp_path: Path) -> None:
    """When the broker is killed the module ends with its status, for the supervisor to see."""
    with running(tmp_path / "kafka") as run:
        os.kill(run.java(), signal.SIGKILL)
        assert run.process.wait(10) == 128 + signal.SIGKILL
        assert "Kafka ended with status -9" in run.log.read_text()


def test_frozen_broker_is_killed_in_the_end(tmp_path: Path) -> None:
    """A broker that does not hear SIGTERM is killed after its time, and the module ends."""
    with running(tmp_path / "kafka") as run:
        os.kill(run.java(), signal.SIGSTOP)
        run.process.terminate()
        assert run.process.wait(15) == 0
        assert "did not end within 5 s and is killed" in run.log.read_text()


def test_stop_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    """SIGTERM before it is ready ends everything, with status 0."""
    run = Run(tmp_path / "kafka")
    run.start()
    try:
        broker_log = run.directory / "broker.log"
        wait_until(broker_log.exists, what="Java runs")
        run.process.terminate()
        assert run.process.wait(10) == 0
        assert run.ready.read() == b""
        assert not brokers_at(HOST, run.port)
    finally:
        run.close()


def test_second_owner_of_a_directory_is_told(tmp_path: Path) -> None:
    """A directory in use is one line and status 1, and its owner is not disturbed."""
    with running(tmp_path / "kafka") as run:
        line = one_line_of_failure(run.directory, port=free_port())
        assert line.startswith(f"another Kafka runs on {run.directory};")
        assert brokers_at(HOST, run.port)


def test_port_in_use_is_told(tmp_path: Path) -> None:
    """A port that another program has is one line and status 1."""
    with running(tmp_path / "kafka") as run:
        line = one_line_of_failure(tmp_path / "other", port=run.port)
        assert line == f"port {run.port} for Kafka is in use by another program"


@pytest.mark.parametrize(("keep", "missing"), [((), "'java'"), (("java",), "'mvn'")])
def test_missing_program_is_told(tmp_path: Path, keep: tuple[str, ...], missing: str) -> None:
    """Without Java, or without Maven where the jars are not there yet, one line names it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in keep:
        (programs / name).write_text("#!/bin/sh\necho 'openjdk version \"21\"' >&2\n")
        (programs / name).chmod(0o755)
    env = {**os.environ, "PATH": str(programs), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    line = one_line_of_failure(tmp_path / "kafka", port=free_port(), env=env)
    assert f"no {missing} on PATH" in line
    assert not (tmp_path / "kafka").exists()


async def test_directory_may_have_any_name(tmp_path: Path) -> None:
    """Blanks, commas, and what Java would not read as it was written, are no trouble."""
    with running(tmp_path / "a b,c é") as run:
        await make_topic(run.address, "events")
        assert await append(run.address, "events") == 0
