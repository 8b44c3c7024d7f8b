"""Queries against the running server: many at once, abandoned ones, and answers of all sizes."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from tests.deploy.embedded.clickhouse.conftest import Send
from tests.deploy.embedded.clickhouse.test_body import wait_for_processes
from tests.support.clickhouse import EmbeddedClickHouse

ENDLESS = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number, {tag}) = 1"


def test_slow_query_blocks_nobody(ask: Send) -> None:
    """Pings and other queries are answered while one runs."""
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(ask, "SELECT sleep(2)")
        started = time.monotonic()
        for _ in range(20):
            assert ask(method="GET", path="/ping").status == 200
            assert ask("SELECT 1").text == "1\n"
        assert time.monotonic() - started < 1.5
        assert slow.result().status == 200


def test_many_queries_run_at_once(ask: Send) -> None:
    """More queries than threads all get their own answer."""
    with ThreadPoolExecutor(60) as threads:
        replies = list(threads.map(lambda n: ask(f"SELECT {n} + sleep(0.1)").text, range(60)))
    assert replies == [f"{n}\n" for n in range(60)]


@pytest.mark.parametrize("form", ["TSV", "JSON"])
def test_client_that_hangs_up_cancels_its_read(
    server: EmbeddedClickHouse, ask: Send, form: str
) -> None:
    """A SELECT whose client is gone ends in the engine, streamed or whole."""
    tag = time.monotonic_ns()
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("POST", "/", f"{ENDLESS.format(tag=tag)} FORMAT {form}")
    wait_for_processes(ask, f"%{tag}%", 1)
    connection.close()
    wait_for_processes(ask, f"%{tag}%", 0)


def test_client_that_hangs_up_in_mid_answer_cancels(server: EmbeddedClickHouse, ask: Send) -> None:
    """A reader that leaves between blocks leaves nothing running."""
    tag = time.monotonic_ns()
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("POST", "/", f"SELECT number, {tag} FROM system.numbers")
    assert connection.getresponse().read(1_000_000)
    wait_for_processes(ask, f"%{tag}%", 1)
    connection.close()
    wait_for_processes(ask, f"%{tag}%", 0)


def test_session_is_free_after_a_cancelled_read(server: EmbeddedClickHouse, ask: Send) -> None:
    """A session outlives the query that its client gave up."""
    tag = time.monotonic_ns()
    ask("CREATE TEMPORARY TABLE kept (a UInt8)", session_id=f"s{tag}")
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("POST", f"/?session_id=s{tag}", ENDLESS.format(tag=tag))
    wait_for_processes(ask, f"%{tag}%", 1)
    connection.close()
    wait_for_processes(ask, f"%{tag}%", 0)
    for _ in range(100):
        reply = ask("SELECT count() FROM kept", session_id=f"s{tag}")
        if reply.code != 373:
            break
    assert reply.text == "0\n"


@pytest.mark.parametrize(
    ("form", "header"),
    [
        ("CSVWithNames", b'"number"\n'),
        ("TSVWithNamesAndTypes", b"number\nUInt64\n"),
        ("JSONCompactEachRowWithNames", b'["number"]\n'),
        ("JSONStringsEachRow", b""),
        ("TSKV", b""),
    ],
)
def test_long_answer_has_its_header_once(ask: Send, form: str, header: bytes) -> None:
    """An answer of many blocks is what one formatted at once would be."""
    body = ask(f"SELECT number FROM numbers(300000) FORMAT {form}").body
    assert body.startswith(header)
    assert body.count(b"\n") == 300_000 + header.count(b"\n")


def test_long_row_binary_has_its_header_once(ask: Send) -> None:
    """Binary rows of many blocks follow a single header."""
    sql = "SELECT number FROM numbers(300000) FORMAT RowBinaryWithNamesAndTypes"
    body = ask(sql).body
    assert len(body) == len(b"\x01\x06number\x06UInt64") + 8 * 300_000


def test_whole_formats_are_whole(ask: Send) -> None:
    """JSON of many rows is one document, and so is an array of rows."""
    found = json.loads(ask("SELECT number AS n FROM numbers(200000) FORMAT JSONCompact").body)
    assert found["rows"] == len(found["data"]) == 200_000
    body = ask(
        "SELECT number AS n FROM numbers(200000) FORMAT JSONEachRow",
        output_format_json_array_of_rows="1",
    ).body
    assert len(json.loads(body)) == 200_000


def test_totals_and_extremes_are_kept(ask: Send) -> None:
    """Rows that follow the rows are not lost."""
    sql = "SELECT number % 2 AS k, count() FROM numbers(4) GROUP BY k WITH TOTALS ORDER BY k"
    assert ask(sql).text == "0\t2\n1\t2\n\n0\t4\n"
    assert ask("SELECT number FROM numbers(3)", extremes="1").text == "0\n1\n2\n\n0\n2\n"


@pytest.mark.parametrize("form", ["CSVWithNames", "TSVWithNames", "JSON", "RowBinaryWithNames"])
def test_empty_answer_keeps_its_header(ask: Send, form: str) -> None:
    """No rows is not no columns."""
    assert b"odd_name" in ask(f"SELECT 1 AS odd_name WHERE 0 FORMAT {form}").body


def test_waiting_for_the_end_turns_late_errors_into_statuses(ask: Send) -> None:
    """With wait_end_of_query nothing is sent before the query has succeeded."""
    sql = "SELECT throwIf(number = 3000000), number FROM numbers(4000000)"
    reply = ask(sql, wait_end_of_query="1")
    assert (reply.status, reply.code) == (500, 395)
    whole = ask("SELECT number FROM numbers(4000000)", wait_end_of_query="1")
    assert whole.body.count(b"\n") == 4_000_000


def test_late_error_breaks_the_answer(server: EmbeddedClickHouse) -> None:
    """Without waiting, the body holds the exception and never ends properly."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    sql = "SELECT throwIf(number = 3000000), number FROM numbers(4000000)"
    connection.request("POST", "/", sql)
    response = connection.getresponse()
    tag = response.headers["X-ClickHouse-Exception-Tag"].encode()
    with pytest.raises(http.client.IncompleteRead) as broken:
        response.read()
    connection.close()
    end = broken.value.partial[-2000:]
    assert end.endswith(b" %s\r\n__exception__\r\n" % tag)
    assert b"\r\n__exception__\r\n%s\r\nCode: 395. DB::Exception: " % tag in end


def test_compressed_answer_is_asked_for_twice(ask: Send) -> None:
    """Only the setting and the header together compress."""
    headers = {"Accept-Encoding": "gzip"}
    sql = "SELECT number FROM numbers(200000)"
    assert "content-encoding" not in ask(sql, headers=headers).headers
    assert "content-encoding" not in ask(sql, enable_http_compression="1").headers
    packed = ask(sql, headers=headers, enable_http_compression="1")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body).count(b"\n") == 200_000


def test_abandoned_write_runs_to_its_end(server: EmbeddedClickHouse, ask: Send, table: str) -> None:
    """An INSERT whose statement was complete is not undone by a client that leaves."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    sql = f"INSERT INTO {table} SELECT number + sleepEachRow(0.1), 'x' FROM numbers(10)"
    connection.request("POST", f"/?max_block_size=1&query={quote(sql)}", b"")
    wait_for_processes(ask, f"%INTO {table}%", 1)
    connection.close()
    wait_for_processes(ask, f"%INTO {table}%", 0)
    assert ask(f"SELECT count() FROM {table}").text == "10\n"


def test_too_many_queries_are_refused_at_the_door(server: EmbeddedClickHouse, ask: Send) -> None:
    """Beyond the bound a query is refused at once, and those that wait are served."""
    codes: list[int] = []
    guard = threading.Lock()

    def run(_: int) -> None:
        reply = ask("SELECT sleep(1)")
        with guard:
            codes.append(reply.code)

    with ThreadPoolExecutor(300) as threads:
        list(threads.map(run, range(300)))
    assert set(codes) == {0, 202}
    assert codes.count(0) >= 256
    assert ask("SELECT 1").text == "1\n"
