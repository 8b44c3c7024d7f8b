"""clickhouse-connect, sync and async, unchanged, against the server."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from tests.deploy.embedded.clickhouse.test_compression import COMPRESS
from tests.support.clickhouse import EmbeddedClickHouse

TRICKY = [
    "plain",
    'it\'s \\ "quoted" `back`',
    "tab\there\nand\r\nlines\0nul\b\f",
    "{brace} %s ? $1 ; -- /* */ FORMAT CSV",
    "snow ☃ 𝄞",
    "\\N",
    "",
]


@pytest.fixture
def client(server: EmbeddedClickHouse) -> Iterator[Any]:
    made = clickhouse_connect.get_client(host="127.0.0.1", port=server.port)
    yield made
    made.close()


@pytest.fixture
async def async_client(server: EmbeddedClickHouse) -> AsyncIterator[Any]:
    made = await clickhouse_connect.get_async_client(host="127.0.0.1", port=server.port)
    yield made
    await made.close()


def test_query_gives_typed_rows(client: Any) -> None:
    """Rows come back with the types and names of their columns."""
    result = client.query(
        "SELECT toInt64(1) AS a, 'x' AS b, [1.5, 2] AS c, toDecimal64('1.25', 2) AS d, "
        "toDate('2024-02-29') AS e, NULL AS f, map('k', 1) AS g, toLowCardinality('l') AS h"
    )
    assert result.column_names == ("a", "b", "c", "d", "e", "f", "g", "h")
    assert result.result_rows == [
        (1, "x", [1.5, 2.0], Decimal("1.25"), date(2024, 2, 29), None, {"k": 1}, "l")
    ]
    assert int(result.summary["read_rows"]) == 1


def test_server_settings_and_version_are_known(client: Any) -> None:
    """What the client learns when it connects is the engine's."""
    assert client.server_version.startswith("26.")
    assert client.server_settings["max_threads"]
    assert client.ping()


@pytest.mark.parametrize("text", TRICKY)
def test_string_parameters_come_back_as_sent(client: Any, text: str) -> None:
    """A bound string is data, whatever it holds."""
    assert client.query("SELECT {x:String}", parameters={"x": text}).first_row == (text,)


def test_typed_parameters_come_back_as_sent(client: Any) -> None:
    """Microseconds, arrays and numbers beyond 2^53 survive binding."""
    moment = datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=UTC)
    row = client.query(
        "SELECT {t:DateTime64(6, 'UTC')}, {a:Array(String)}, {n:UInt64}, {i:Identifier}, "
        "{e:Nullable(String)} FROM (SELECT 7 AS `odd name`)",
        parameters={
            "t": moment,
            "a": TRICKY,
            "n": 2**64 - 1,
            "i": "odd name",
            "e": None,
        },
    ).first_row
    assert row == (moment.replace(tzinfo=None), TRICKY, 2**64 - 1, 7, None)


def test_long_parameters_go_as_a_form(client: Any) -> None:
    """Parameters too long for a URL arrive as multipart form fields."""
    long = [f"value '{n}' \n" for n in range(20_000)]
    row = client.query("SELECT length({x:Array(String)}), {x:Array(String)}[20000]", {"x": long})
    assert row.first_row == (20_000, long[-1])


def test_insert_of_rows_is_counted(client: Any, table: str) -> None:
    """Inserted rows are there, and the summary says how many were written."""
    rows = [(n, text) for n, text in enumerate(TRICKY)]
    summary = client.insert(table, rows, column_names=["a", "b"])
    assert summary.written_rows == len(rows)
    assert client.query(f"SELECT a, b FROM {table} ORDER BY a").result_rows == rows


@pytest.mark.parametrize("compress", [True, False, "lz4", "zstd", "gzip"])
def test_every_compression_works_both_ways(
    server: EmbeddedClickHouse, table: str, compress: bool | str
) -> None:
    """The client's choice of compression holds for inserts and answers, of many blocks too."""
    with clickhouse_connect.get_client(
        host="127.0.0.1", port=server.port, compress=compress
    ) as client:
        rows = [(n, f"row {n}") for n in range(150_000)]
        assert client.insert(table, rows, ["a", "b"]).written_rows == len(rows)
        assert client.query(f"SELECT * FROM {table} ORDER BY a").result_rows == rows


@pytest.mark.parametrize("compression", [None, "lz4", "zstd", "gzip", "deflate"])
def test_raw_insert_takes_json_lines(client: Any, table: str, compression: str | None) -> None:
    """JSON lines are stored as sent, under any encoding of the body."""
    data = b"".join(
        json.dumps({"a": n, "b": text}).encode() + b"\n" for n, text in enumerate(TRICKY)
    )
    body = COMPRESS[compression](data) if compression else data
    summary = client.raw_insert(
        table, insert_block=body, fmt="JSONEachRow", compression=compression
    )
    assert summary.written_rows == len(TRICKY)
    stored = client.query(f"SELECT b FROM {table} ORDER BY a").result_columns[0]
    assert list(stored) == TRICKY


def test_raw_insert_streams_a_generator(client: Any, table: str) -> None:
    """A body without a length is stored whole."""
    chunks = (b'{"a":%d,"b":"x"}\n' % n for n in range(10_000))
    assert client.raw_insert(table, insert_block=chunks, fmt="JSONEachRow").written_rows == 10_000


def test_raw_query_gives_the_format_asked_for(client: Any) -> None:
    """Bytes of any format come through untouched."""
    assert client.raw_query("SELECT 1 AS a", fmt="JSONEachRow") == b'{"a":1}\n'
    assert client.raw_query("SELECT 1 AS a FORMAT CSVWithNames") == b'"a"\n1\n'
    assert client.raw_query("SELECT 1 AS a WHERE 0", fmt="CSVWithNames") == b'"a"\n'


def test_row_blocks_stream(client: Any) -> None:
    """A result of many blocks is read block by block, in order."""
    with client.query_row_block_stream("SELECT number FROM numbers(500000)") as stream:
        blocks = [len(block) for block in stream]
    assert sum(blocks) == 500_000
    assert len(blocks) > 1


def test_failure_in_a_stream_reaches_the_reader(client: Any) -> None:
    """An error after the first blocks raises, with ClickHouse's words."""
    sql = "SELECT throwIf(number = 3000000, 'broke here') FROM numbers(4000000)"
    with (
        pytest.raises(StreamFailureError, match="broke here"),
        client.query_row_block_stream(sql) as stream,
    ):
        for _ in stream:
            pass


@pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip", False])
def test_failure_in_a_compressed_stream_reaches_the_reader(
    server: EmbeddedClickHouse, compress: str | bool
) -> None:
    """The exception can be read through the answer's compression."""
    with clickhouse_connect.get_client(
        host="127.0.0.1", port=server.port, compress=compress
    ) as client:
        sql = "SELECT throwIf(number = 3000000, 'broke here'), number FROM numbers(4000000)"
        with (
            pytest.raises(StreamFailureError, match="broke here"),
            client.query_rows_stream(sql) as stream,
        ):
            for _ in stream:
                pass


def test_command_gives_values_and_summaries(client: Any) -> None:
    """Commands answer with a value, a list, or a summary."""
    name = f"c_{uuid.uuid4().hex}"
    assert client.command("SELECT 40 + 2") == 42
    assert client.command("SELECT 'a', 'b'") == ["a", "b"]
    client.command(f"CREATE TABLE {name} (a Int64) ENGINE = MergeTree ORDER BY a")
    client.command(f"INSERT INTO {name} VALUES", data="(1), (2)")
    client.command(f"INSERT INTO {name} SELECT 3")
    assert client.command(f"SELECT sum(a) FROM {name}") == 6
    client.command(f"DROP TABLE {name}")


def test_errors_carry_codes(client: Any) -> None:
    """An error is ClickHouse's, with its code and name."""
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE") as failed:
        client.query("SELECT * FROM nowhere")
    assert failed.value.code == 60
    with pytest.raises(DatabaseError, match="SYNTAX_ERROR"):
        client.query("SELEC 1")


def test_bad_row_stores_nothing(client: Any, table: str) -> None:
    """A body with one row that does not parse leaves the table as it was."""
    body = b'{"a":1,"b":"x"}\n' * 1000 + b'{"a":"no"}\n'
    with pytest.raises(DatabaseError, match="CANNOT_PARSE"):
        client.raw_insert(table, insert_block=body, fmt="JSONEachRow")
    assert client.command(f"SELECT count() FROM {table}") == 0


def test_settings_hold_for_one_query(client: Any) -> None:
    """A query's settings do not stay in the client's session."""
    sql = "SELECT getSetting('max_block_size')"
    before = client.command(sql)
    assert client.command(sql, settings={"max_block_size": 77}) == 77
    assert client.command(sql) == before


def test_session_keeps_temporary_tables(client: Any) -> None:
    """The client's own session holds tables and settings of its connection."""
    client.command("CREATE TEMPORARY TABLE mine (a Int64)")
    client.insert("mine", [[1], [2]], ["a"])
    client.command("SET max_block_size = 99")
    assert client.command("SELECT sum(a) FROM mine") == 3
    assert client.command("SELECT getSetting('max_block_size')") == 99


def test_database_of_the_client_is_used(server: EmbeddedClickHouse, client: Any) -> None:
    """Unqualified names are looked up in the database the client was made with."""
    name = f"d_{uuid.uuid4().hex}"
    client.command(f"CREATE DATABASE {name}")
    with clickhouse_connect.get_client(host="127.0.0.1", port=server.port, database=name) as inside:
        inside.command("CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a")
        inside.insert("t", [[5]], ["a"])
        assert inside.query("SELECT a FROM t").first_row == (5,)
    assert client.command(f"SELECT a FROM {name}.t") == 5


def test_empty_result_has_column_names_with_limit_zero(client: Any) -> None:
    """The client's own way to ask for columns alone works."""
    result = client.query("SELECT 1 AS a, 'x' AS b LIMIT 0")
    assert result.column_names == ("a", "b")
    assert client.query("SELECT 1 AS a WHERE 0").result_rows == []


def test_wrong_password_is_refused(server: EmbeddedClickHouse) -> None:
    """A password is refused as by a server that has none."""
    with pytest.raises(DatabaseError, match="AUTHENTICATION_FAILED"):
        clickhouse_connect.get_client(host="127.0.0.1", port=server.port, password="x")


async def test_async_client_queries_and_inserts(async_client: Any, table: str) -> None:
    """The async client does what the sync one does."""
    rows = [(n, text) for n, text in enumerate(TRICKY)]
    summary = await async_client.insert(table, rows, column_names=["a", "b"])
    assert summary.written_rows == len(rows)
    await async_client.raw_insert(table, insert_block=b'{"a":99,"b":"z"}', fmt="JSONEachRow")
    result = await async_client.query(
        f"SELECT a, b FROM {table} WHERE a < {{top:Int64}} ORDER BY a", parameters={"top": 99}
    )
    assert result.result_rows == rows
    assert await async_client.command(f"SELECT count() FROM {table}") == len(rows) + 1


async def test_async_client_streams_and_fails(async_client: Any) -> None:
    """Blocks stream, and an error in mid-stream raises."""
    total = 0
    async with await async_client.query_row_block_stream(
        "SELECT number FROM numbers(500000)"
    ) as stream:
        async for block in stream:
            total += len(block)
    assert total == 500_000
    sql = "SELECT throwIf(number = 3000000, 'broke here'), number FROM numbers(4000000)"
    with pytest.raises(StreamFailureError, match="broke here"):
        await read_all(await async_client.query_row_block_stream(sql))


async def read_all(blocks: Any) -> None:
    async with blocks as stream:
        async for _ in stream:
            pass


async def test_async_client_runs_queries_at_once(async_client: Any) -> None:
    """Many queries of one client share the server without waiting for a slow one."""
    slow = asyncio.create_task(async_client.query("SELECT sleepEachRow(0.5) FROM numbers(3)"))
    results = await asyncio.wait_for(
        asyncio.gather(*(async_client.query(f"SELECT {n}") for n in range(20))), 5
    )
    assert [result.first_row for result in results] == [(n,) for n in range(20)]
    assert (await slow).row_count == 3
