"""The process: one owner of a directory, an orderly end, and what survives a disorderly one."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.deploy.embedded.clickhouse.conftest import send
from tests.deploy.embedded.clickhouse.test_body import wait_for_processes
from tests.support.clickhouse import EmbeddedClickHouse, embedded_clickhouse, free_port

CREATE = "CREATE TABLE t (a Int64, b String) ENGINE = MergeTree ORDER BY a"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.embedded.clickhouse", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_second_owner_is_told_what_to_do(server: EmbeddedClickHouse) -> None:
    """A directory in use is one clear line and status 1."""
    done = run("--path", str(server.directory), "--port", str(free_port()))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert str(server.directory) in done.stderr
    assert "--path" in done.stderr
    assert send(server.port, "SELECT 1").text == "1\n"


def test_port_in_use_is_named(server: EmbeddedClickHouse, tmp_path: Path) -> None:
    """A port that can't be bound is one line and status 1."""
    done = run("--path", str(tmp_path / "data"), "--port", str(server.port))
    assert done.returncode == 1
    assert f"--port {server.port}" in done.stderr.splitlines()[-1]


def test_start_is_logged_with_address_and_directory(server: EmbeddedClickHouse) -> None:
    """The log says where the server is, once it answers."""
    log = server.log.read_text()
    assert f"ready at {server.url} on {server.directory}" in log


def test_sigterm_lets_running_queries_finish(tmp_path: Path) -> None:
    """A query that is under way is answered; then the process ends with 0."""
    with embedded_clickhouse(tmp_path / "data") as server:
        replies = []
        reader = threading.Thread(
            target=lambda: replies.append(send(server.port, "SELECT 7 + sleep(2)"))
        )
        reader.start()
        wait_for_processes(lambda sql: send(server.port, sql), "%sleep(2)%", 1)
        assert server.stop() == 0
        reader.join()
        assert replies[0].text == "7\n"


def test_a_directory_that_looks_like_a_column_is_only_a_directory(tmp_path: Path) -> None:
    """What stands in the data directory's path never gets into a row."""
    with embedded_clickhouse(tmp_path / "b=9" / "data") as server:
        send(server.port, "CREATE TABLE t (a UInt8, b String) ENGINE = MergeTree ORDER BY a")
        for settings in ("", "SETTINGS max_threads=1 "):
            sql = f'INSERT INTO t (a, b) {settings}FORMAT JSONEachRow\n{{"a":1,"b":"real"}}\n'
            assert send(server.port, sql).status == 200
        assert send(server.port, "SELECT DISTINCT b, count() FROM t GROUP BY b").text == "real\t2\n"


def test_sigterm_does_not_wait_for_ever(tmp_path: Path) -> None:
    """A query without end is cancelled after the drain, and the process still ends with 0."""
    with embedded_clickhouse(tmp_path / "data") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        with closing(connection):
            sql = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"
            connection.request("POST", "/", sql)
            wait_for_processes(lambda sql: send(server.port, sql), "%sipHash64%", 1)
            started = time.monotonic()
            assert server.stop() == 0
            assert 3 < time.monotonic() - started < 12


def test_end_of_the_parent_ends_the_server(tmp_path: Path) -> None:
    """A closed pipe is the order to stop."""
    reading, writing = os.pipe()
    port = free_port()
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "deploy.embedded.clickhouse", "--path", str(tmp_path / "d")),
            *("--port", str(port), "--parent-pipe", str(reading)),
        ],
        pass_fds=(reading,),
        stderr=subprocess.PIPE,
    ) as process:
        os.close(reading)
        assert process.stderr is not None
        assert b"ready at" in process.stderr.readline()
        os.close(writing)
        assert process.wait(20) == 0


def test_data_outlives_a_stop(tmp_path: Path) -> None:
    """What was stored is there after an orderly restart."""
    with embedded_clickhouse(tmp_path / "data") as server:
        send(server.port, CREATE)
        send(server.port, "INSERT INTO t VALUES (1, 'x')")
        assert server.stop() == 0
        server.start()
        assert send(server.port, "SELECT * FROM t").text == "1\tx\n"


def test_acknowledged_rows_outlive_sigkill(tmp_path: Path) -> None:
    """Killed while inserting, the server has every acknowledged batch and no half of one."""
    batch, acknowledged = 1000, []
    with embedded_clickhouse(tmp_path / "data") as server:
        send(server.port, CREATE)

        def insert() -> None:
            for number in range(100_000):
                body = b"%d,x\n" % number * batch
                try:
                    reply = send(server.port, body, query="INSERT INTO t FORMAT CSV")
                except (OSError, http.client.HTTPException):
                    return
                if reply.status == 200:
                    acknowledged.append(number)

        writer = threading.Thread(target=insert)
        writer.start()
        time.sleep(1)
        server.kill()
        writer.join()
        assert acknowledged
        server.start()
        stored = send(server.port, "SELECT a, count() FROM t GROUP BY a ORDER BY a").text
    counts = dict(map(int, line.split("\t")) for line in stored.splitlines())
    assert set(acknowledged) <= set(counts)
    assert set(counts.values()) == {batch}


def test_stopped_server_goes_on_where_it_was(tmp_path: Path) -> None:
    """SIGSTOP delays a query, SIGCONT answers it."""
    with embedded_clickhouse(tmp_path / "data") as server:
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)
        replies = []
        reader = threading.Thread(target=lambda: replies.append(send(server.port, "SELECT 1")))
        reader.start()
        reader.join(0.5)
        assert not replies
        server.process.send_signal(signal.SIGCONT)
        reader.join()
        assert replies[0].text == "1\n"


@pytest.mark.parametrize("missing", ["--path", "--port"])
def test_missing_argument_is_named(missing: str, tmp_path: Path) -> None:
    """A start without a directory or a port says which."""
    arguments = {"--path": str(tmp_path), "--port": "1"}
    del arguments[missing]
    done = run(*(word for pair in arguments.items() for word in pair))
    assert done.returncode == 2
    assert missing in done.stderr
