"""Bodies: where SQL ends and data begins, encodings, and bodies that break."""

from __future__ import annotations

import gzip
import http.client
import socket
from pathlib import Path

import pytest
import zstandard

from tests.deploy.embedded.clickhouse.conftest import Send
from tests.support.clickhouse import EmbeddedClickHouse
from tests.support.stack import wait_until


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("INSERT INTO {t} FORMAT JSONEachRow", '{"a":1,"b":"x"}\n{"a":2,"b":"y"}'),
        ("", 'INSERT INTO {t} FORMAT JSONEachRow\n{"a":1,"b":"x"}\n{"a":2,"b":"y"}'),
        ("", "INSERT INTO {t} VALUES (1, 'x'), (2, 'y')"),
        ("", "INSERT INTO {t} (b, a) VALUES ('x', 1), (lower('Y'), 1 + 1);"),
        ("INSERT INTO {t} VALUES", "(1, 'x'), (2, 'y')"),
        ("INSERT INTO", " {t} FORMAT CSV\n1,x\n2,y\n"),
        ("", "insert into {t} settings max_threads = 1 format TSV\n1\tx\n2\ty\n"),
        ("", "INSERT INTO {t} SELECT number + 1, ['x', 'y'][number + 1] FROM numbers(2)"),
    ],
)
def test_every_way_to_insert(ask: Send, table: str, query: str, body: str) -> None:
    """The statement may be anywhere, the data in any format after it."""
    url = {"query": query.format(t=table)} if query else {}
    reply = ask(body.replace("{t}", table), **url)
    assert reply.status == 200, reply.text
    assert ask(f"SELECT * FROM {table} ORDER BY a").text == "1\tx\n2\ty\n"


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO {t} SELECT a, b FROM input('a Int64, b String') FORMAT CSV\n1,x\n2,y",
        "INSERT INTO {t} (a, b)",
        "INSERT INTO {t}",
        "INSERT INTO {t} 1, 'x'",
    ],
)
def test_insert_that_would_store_nothing_is_an_error(ask: Send, table: str, sql: str) -> None:
    """Where the library would silently drop the data, the client hears of it."""
    assert ask(sql.replace("{t}", table)).status != 200


def test_insert_summary_counts_rows(ask: Send, table: str) -> None:
    """The answer says how many rows were written."""
    reply = ask(b"1,x\n" * 1000, query=f"INSERT INTO {table} FORMAT CSV")
    assert '"written_rows":"1000"' in reply.headers["x-clickhouse-summary"]
    reply = ask(f"INSERT INTO {table} SELECT number, '' FROM numbers(10)")
    assert '"written_rows":"10"' in reply.headers["x-clickhouse-summary"]


def test_parameters_work_in_inserts(ask: Send, table: str) -> None:
    """A table's name and a value may be parameters of an INSERT with data."""
    sql = "INSERT INTO {t:Identifier} VALUES ({n:Int64}, {s:String})"
    reply = ask(sql, param_t=table, param_n="7", param_s="it\\'s \\\\ here")
    assert reply.status == 200, reply.text
    assert ask(f"SELECT b FROM {table} FORMAT TSVRaw").text == "it's \\ here\n"


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "lz4", "deflate"])
def test_corrupt_body_stores_nothing(ask: Send, table: str, encoding: str) -> None:
    """Garbage under an encoding is an error that names it."""
    query = f"INSERT INTO {table} FORMAT CSV"
    reply = ask(b"1,x\n" * 100, query=query, headers={"Content-Encoding": encoding})
    assert reply.code in (354, 561, 618)
    assert f"Content-Encoding {encoding}" in reply.text
    assert ask(f"SELECT count() FROM {table}").text == "0\n"


def test_short_compressed_body_stores_nothing(ask: Send, table: str) -> None:
    """A body whose last frame is cut off is an error, though its rows could be read."""
    body = zstandard.ZstdCompressor().compress(b"1,x\n" * 100_000)[:-3]
    query = f"INSERT INTO {table} FORMAT CSV"
    assert ask(body, query=query, headers={"Content-Encoding": "zstd"}).code == 561
    assert ask(f"SELECT count() FROM {table}").text == "0\n"


def test_unknown_encoding_is_refused(ask: Send) -> None:
    """An encoding that is not known is not guessed."""
    reply = ask("SELECT 1", headers={"Content-Encoding": "snappy"})
    assert reply.code == 89


def test_statement_itself_may_be_compressed(ask: Send, table: str) -> None:
    """SQL and its data travel in one compressed body."""
    headers = {"Content-Encoding": "gzip"}
    body = gzip.compress(f"INSERT INTO {table} FORMAT CSV\n1,x\n".encode())
    assert ask(body, headers=headers).status == 200
    assert ask(gzip.compress(f"SELECT a FROM {table}".encode()), headers=headers).text == "1\n"


def test_oversized_statement_is_refused(ask: Send) -> None:
    """A statement over the engine's limit is refused, and a setting raises the limit."""
    sql = "SELECT length('" + "x" * 300_000 + "')"
    assert ask(sql).code == 62
    assert ask(sql, max_query_size="1000000").text == "300000\n"


def test_bomb_instead_of_a_statement_is_refused(ask: Send) -> None:
    """A small body that decodes to gigabytes of SQL is refused at a bound."""
    bomb = zstandard.ZstdCompressor().compress(b"SELECT '" + bytes(200 << 20))
    reply = ask(bomb, headers={"Content-Encoding": "zstd"})
    assert (reply.status, reply.code) == (413, 229)


def test_large_insert_streams_in_little_memory(
    server: EmbeddedClickHouse, ask: Send, table: str
) -> None:
    """Twenty megabytes in chunks are stored as one part, complete."""
    count = 400_000
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    text = "x" * 40
    chunks = (
        b"".join(b"%d,%s\n" % (n, text.encode()) for n in range(start, start + 1000))
        for start in range(0, count, 1000)
    )
    url = f"/?query=INSERT+INTO+{table}+FORMAT+CSV"
    connection.request("POST", url, chunks, encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()
    reply = ask(f"SELECT count(), sum(a), uniq(_part) FROM {table}")
    assert reply.text == f"{count}\t{sum(range(count))}\t1\n"


@pytest.mark.parametrize("chunked", [True, False])
def test_client_that_hangs_up_in_mid_body_stores_nothing(
    server: EmbeddedClickHouse, ask: Send, table: str, chunked: bool
) -> None:
    """A body that ends with its connection is not taken for a complete one."""
    rows = b"1,x\n" * 50_000
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {2 * len(rows)}"
    head = f"POST /?query=INSERT+INTO+{table}+FORMAT+CSV HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode())
        connection.sendall(b"%x\r\n%s\r\n" % (len(rows), rows) if chunked else rows)
        wait_until(lambda: spooled_bytes(server) == len(rows), what="the rows' arrival")
    wait_until(lambda: not spooled_files(server), what="the end of the request")
    assert ask(f"SELECT count() FROM {table}").text == "0\n"


@pytest.mark.parametrize(
    ("layout", "limit", "code"),
    [
        ("(a UInt64, b String, CONSTRAINT small CHECK a < 10) ENGINE = MergeTree", "0", 469),
        ("(a UInt64, b String) ENGINE = MergeTree PARTITION BY a", "1", 252),
    ],
)
def test_what_goes_wrong_while_storing_is_an_error(
    ask: Send, table: str, layout: str, limit: str, code: int
) -> None:
    """Rows that were read well and then not stored are never answered with a 200."""
    ask(f"CREATE TABLE {table}_bad {layout} ORDER BY a")
    sql = f"INSERT INTO {table}_bad SETTINGS max_partitions_per_insert_block={limit} FORMAT CSV"
    reply = ask(f"{sql}\n1,x\n50,x\n")
    assert (reply.status, reply.code) == (500, code)
    assert ask(f"SELECT count() FROM {table}_bad").text == "0\n"


def spooled_files(server: EmbeddedClickHouse) -> list[Path]:
    """The files in which data of inserts waits."""
    return list((server.directory / "spool").iterdir())


def spooled_bytes(server: EmbeddedClickHouse) -> int:
    """How much data of inserts has arrived."""
    return sum(path.stat().st_size for path in spooled_files(server))


def wait_for_processes(ask: Send, pattern: str, count: int) -> None:
    """Return once that many queries like ``pattern`` run."""
    sql = (
        "SELECT count() FROM system.processes "
        f"WHERE query LIKE '{pattern}' AND query NOT LIKE '%system.processes%'"
    )
    for _ in range(500):
        if ask(sql).text == f"{count}\n":
            return
    raise AssertionError(f"never saw {count} queries like {pattern}")
