"""SIGKILL of any process in the middle of a load changes nothing of the outcome."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.flights import FIRST_DAY, LAST_DAY, flights, last_of_each, write_ndjson
from tests.support.reading import as_sent, walk
from tests.support.stack import OWN_BROKER, TALLY, Stack, running_stack, wait_until

SENDS = flights(8000, seed=11)
WINDOW = {"start_time": FIRST_DAY.isoformat(), "end_time": LAST_DAY.isoformat()}


def stored(stack: Stack) -> dict[str, dict[str, object]]:
    stack.wait_until_stored()
    return as_sent(walk(stack, **WINDOW))


@pytest.mark.parametrize("part", ["api", "consumer", "clickhouse"])
def test_a_killed_part_is_started_again_and_nothing_is_lost(
    part: str, log_address: str | None, tmp_path: Path
) -> None:
    """The loader retries, the part comes back by itself, every flight is there once."""
    kill_under_load(part, log_address, tmp_path)


def test_a_killed_broker_is_started_again_and_nothing_is_lost(tmp_path: Path) -> None:
    """A stack that runs its own Kafka loses nothing with it, on either side of it."""
    kill_under_load("kafka", OWN_BROKER, tmp_path)


def kill_under_load(part: str, log_address: str | None, tmp_path: Path) -> None:
    path = write_ndjson(tmp_path / "flights.ndjson", SENDS)
    with running_stack(tmp_path, kafka=log_address) as stack:
        loader = subprocess.Popen([TALLY, "load", path, "--batch-size", "100"], env=stack.env)
        wait_until(stack.log_size, what="a load under way")
        pid = stack.child_pid(part)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert loader.wait(timeout=60) == 0
        wait_until(lambda: stack.child_pid(part) not in (None, pid), what=f"{part} again")
        assert stored(stack) == last_of_each(SENDS)
        assert stack.stop() == 0


@pytest.mark.parametrize("kafka", [None, OWN_BROKER], ids=["embedded", "own-kafka"])
def test_a_killed_supervisor_takes_its_parts_along(kafka: str | None, tmp_path: Path) -> None:
    """With the supervisor killed its parts end; started again, the load goes on to the end."""
    path = write_ndjson(tmp_path / "flights.ndjson", SENDS)
    with running_stack(tmp_path, kafka=kafka) as stack:
        loader = subprocess.Popen([TALLY, "load", path, "--batch-size", "100"], env=stack.env)
        wait_until(stack.log_size, what="a load under way")
        parts = [stack.child_pid(part) for part in ("api", "consumer", "clickhouse", "kafka")]
        assert parts.count(None) == (1 if kafka is None else 0)
        assert stack.process is not None
        stack.process.kill()
        stack.process.wait()
        wait_until(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in parts if pid),
            within_s=20,
            what="the parts' end",
        )
        stack.start()
        assert loader.wait(timeout=60) == 0
        assert stored(stack) == last_of_each(SENDS)


def test_a_killed_loader_goes_on_where_it_was(tmp_path: Path) -> None:
    """The same command again finishes the file, without sending the whole of it again."""
    path = write_ndjson(tmp_path / "flights.ndjson", SENDS)
    with running_stack(tmp_path) as stack:
        loader = subprocess.Popen([TALLY, "load", path, "--batch-size", "50"], env=stack.env)
        wait_until(stack.log_size, what="a load under way")
        loader.kill()
        loader.wait()
        assert stack.tally("load", str(path)).returncode == 0
        assert stored(stack) == last_of_each(SENDS)
