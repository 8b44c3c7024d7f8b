"""`tally up`: ready, stopped, started again, and what it says when it can't."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kafka import Kafka
from tests.support.reading import query
from tests.support.stack import OWN_BROKER, TALLY, Stack, running_stack, wait_until


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Stack]:
    with running_stack(tmp_path) as stack:
        yield stack


def parts(stack: Stack) -> list[int]:
    pids = [stack.child_pid(part) for part in ("api", "consumer", "clickhouse")]
    return [pid for pid in pids if pid is not None]


def test_ready_means_that_the_printed_commands_work(own: Stack) -> None:
    """It prints the address, the key and a curl line; pasted into a shell it sends an event."""
    output = own.output()
    assert f"Tally is ready at {own.url}, on the embedded log" in output
    assert own.client["API_KEY"] in output
    (send,) = [line.split(maxsplit=1)[1] for line in output.splitlines() if "  send " in line]
    (read,) = [line.split(maxsplit=1)[1] for line in output.splitlines() if "  read " in line]
    sent = subprocess.run(["bash", "-c", f"{send} -sS"], capture_output=True, check=True)
    event_id = json.loads(sent.stdout)["event_id"]

    def is_readable() -> bool:
        answer = subprocess.run(["bash", "-c", f"{read} -sS"], capture_output=True, check=True)
        return event_id in answer.stdout.decode()

    wait_until(is_readable)


def test_client_env_is_for_a_shell_and_for_its_owner(own: Stack) -> None:
    """One NAME=value a line, nothing a shell would read, mode 0600."""
    path = own.data / "client.env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    names = ["BASE_URL", "API_KEY", "SEQUENCE_ID", "SEQUENCE_SECRET", "CLICKHOUSE_URL"]
    assert list(own.client) == names
    sourced = subprocess.run(
        ["sh", "-c", '. "$0" && printf "%s\\n" "$API_KEY" "$CLICKHOUSE_URL"', path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sourced.stdout.split() == [own.client["API_KEY"], own.client["CLICKHOUSE_URL"]]
    with urllib.request.urlopen(f"{own.client['CLICKHOUSE_URL']}/ping") as answer:
        assert answer.read() == b"Ok.\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_a_second_start_finds_everything(
    own: Stack, number: signal.Signals
) -> None:
    """What was accepted just before the signal is there after a restart, under the same key."""
    before = own.client
    pids = parts(own)
    assert own.tally("send", "--name", "n", "--customer", "c", "--id", "last").returncode == 0
    started_at = time.monotonic()
    assert own.stop(number) == 0
    assert time.monotonic() - started_at < 15
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    own.start()
    assert {**own.client, "CLICKHOUSE_URL": ""} == {**before, "CLICKHOUSE_URL": ""}
    wait_until(lambda: query(own, event_id="last")["events"])


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """Another program on the port is no reason for a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        env = {**os.environ, "TALLY_DATA": str(tmp_path / "d"), "TALLY_PORT": str(port)}
        ended = subprocess.run([TALLY, "up"], env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert f"port {port} is in use" in ended.stderr
    assert "TALLY_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("port", ["0", "99999", "http", "-1"])
def test_a_bad_port_is_named(tmp_path: Path, port: str) -> None:
    """A setting that can't be is refused before anything starts."""
    env = {**os.environ, "TALLY_DATA": str(tmp_path / "d"), "TALLY_PORT": port}
    ended = subprocess.run([TALLY, "up"], env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert f"TALLY_PORT='{port}'" in ended.stderr


def test_a_second_one_on_the_same_data_is_refused(own: Stack) -> None:
    """Two supervisors on one directory would fight; the second hears who holds it."""
    ended = own.tally("up")
    assert ended.returncode == 1
    assert str(own.data) in ended.stderr
    assert "TALLY_DATA" in ended.stderr


def test_a_lost_client_env_is_made_again(own: Stack) -> None:
    """Without the file a new key is made at the next start; old events stay readable with it."""
    assert own.tally("send", "--name", "n", "--customer", "c", "--id", "kept").returncode == 0
    own.wait_until_stored()
    before = own.client["API_KEY"]
    own.stop()
    (own.data / "client.env").unlink()
    own.start()
    assert own.client["API_KEY"] != before
    assert query(own, event_id="kept")["events"]


def refused_up(stack: Stack, *arguments: str) -> str:
    """What `tally up` says that is refused on a stack's directory."""
    ended = stack.tally("up", *arguments)
    assert ended.returncode == 1, ended.stdout
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_a_broker_of_its_own_keeps_everything(tmp_path: Path) -> None:
    """With --kafka alone a broker runs beside; stopped in order, a second start finds events and
    key; another log is refused.
    """
    with running_stack(tmp_path, kafka=OWN_BROKER) as own:
        assert f"Tally is ready at {own.url}, on Kafka at 127.0.0.1:" in own.output()
        before = own.client
        pids = [*parts(own), own.child_pid("kafka")]
        assert own.tally("send", "--name", "n", "--customer", "c", "--id", "last").returncode == 0
        started_at = time.monotonic()
        assert own.stop() == 0
        assert time.monotonic() - started_at < 15
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        assert "give --kafka, without an address" in refused_up(own)
        own.start()
        moving = {"CLICKHOUSE_URL": "", "TALLY_KAFKA_BOOTSTRAP_SERVERS": ""}
        assert {**own.client, **moving} == {**before, **moving}
        wait_until(lambda: query(own, event_id="last")["events"])


def test_a_given_kafka_is_told_to_other_programs(tmp_path: Path, kafka: Kafka) -> None:
    """client.env names address and prefix, and with it keys and status need no variable; the
    directory goes with no other log from then on.
    """
    with running_stack(tmp_path, kafka=kafka.bootstrap_servers) as own:
        assert own.client["TALLY_KAFKA_BOOTSTRAP_SERVERS"] == kafka.bootstrap_servers
        prefix = own.client["TALLY_KAFKA_TOPIC_PREFIX"]
        assert f"topics {prefix}.*" in own.output()
        assert own.child_pid("kafka") is None
        own.new_key("acme")
        status = json.loads(own.tally("status", "--json").stdout)
        assert set(status["parts"].values()) == {"ok"}
        assert [one["partitions"] for one in status["consumers"]] == [[0, 1, 2, 3]]
        assert own.stop() == 0
        assert json.loads(own.tally("status", "--json").stdout)["parts"]["consumer"] != "ok"
        assert "give --kafka and its address" in refused_up(own)
        assert "give --kafka and its address" in refused_up(own, "--kafka")
        assert prefix in refused_up(own, "--kafka", kafka.bootstrap_servers)  # the default prefix


def test_a_kafka_that_does_not_answer_is_named(tmp_path: Path) -> None:
    """An address where nobody is ends it at once, with status 1, and chooses no log."""
    stack = Stack(tmp_path / "data", 1)
    assert "TALLY_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1" in refused_up(
        stack, "--kafka", "127.0.0.1:1"
    )
    assert not (stack.data / "log.json").exists()
