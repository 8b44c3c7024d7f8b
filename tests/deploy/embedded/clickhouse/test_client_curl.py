"""curl, as ClickHouse's own pages use it."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.clickhouse import EmbeddedClickHouse

CURL = shutil.which("curl") or pytest.fail("these tests need curl")


def curl(*arguments: str, data: bytes = b"") -> tuple[int, bytes]:
    done = subprocess.run(
        [CURL, "-sS", "--max-time", "30", *arguments], input=data, capture_output=True, check=False
    )
    return done.returncode, done.stdout


def test_ping_and_root_answer(server: EmbeddedClickHouse) -> None:
    """Health checks get ClickHouse's own words."""
    assert curl(f"{server.url}/ping") == (0, b"Ok.\n")
    assert curl(f"{server.url}/") == (0, b"Ok.\n")


def test_query_in_url_and_body(server: EmbeddedClickHouse) -> None:
    """A query may be in the URL, in the body, or begin in one and end in the other."""
    assert curl("-G", server.url, "--data-urlencode", "query=SELECT 1") == (0, b"1\n")
    assert curl(server.url, "-d", "SELECT 2") == (0, b"2\n")
    assert curl(f"{server.url}/?query=SELECT", "--data-binary", "3") == (0, b"3\n")
    assert curl(server.url, "--data-binary", "@-", data=b"SELECT 4") == (0, b"4\n")


def test_insert_from_a_file(server: EmbeddedClickHouse, table: str, tmp_path: Path) -> None:
    """Data piped into an INSERT is stored, plain or compressed."""
    rows = b"".join(b"%d\tx\n" % n for n in range(200_000))
    plain, packed = tmp_path / "rows.tsv", tmp_path / "rows.tsv.gz"
    plain.write_bytes(rows)
    packed.write_bytes(gzip.compress(rows))
    url = f"{server.url}/?query=INSERT+INTO+{table}+FORMAT+TSV"
    assert curl(url, "--data-binary", f"@{plain}") == (0, b"")
    assert curl(url, "-H", "Content-Encoding: gzip", "--data-binary", f"@{packed}") == (0, b"")
    assert curl(url, "-T", "-", "-X", "POST", data=rows) == (0, b"")
    assert curl(server.url, "-d", f"SELECT count(), sum(a) FROM {table}") == (
        0,
        f"600000\t{3 * sum(range(200_000))}\n".encode(),
    )


@pytest.mark.parametrize("name", ["gzip", "deflate", "zstd"])
def test_compressed_answer(server: EmbeddedClickHouse, name: str) -> None:
    """An answer is compressed only when the URL says so too."""
    headers = ("-H", f"Accept-Encoding: {name}")
    plain = curl("-D", "-", *headers, server.url, "-d", "SELECT 1")[1]
    assert b"Content-Encoding" not in plain
    packed = curl(
        "--compressed",
        *headers,
        "-D",
        "-",
        f"{server.url}/?enable_http_compression=1",
        "-d",
        "SELECT 1",
    )[1]
    assert f"Content-Encoding: {name}".encode() in packed
    assert packed.endswith(b"\r\n\r\n1\n")


def test_broken_stream_is_a_failed_transfer(server: EmbeddedClickHouse) -> None:
    """Curl does not take an answer for complete that an error cut short."""
    status, body = curl(
        server.url, "-d", "SELECT throwIf(number = 3000000), number FROM numbers(4000000)"
    )
    assert status == 18
    assert b"__exception__" in body[-2000:]
    assert b"FUNCTION_THROW_IF_VALUE_IS_NON_ZERO" in body[-2000:]


def test_broken_stream_fails_for_old_http_too(server: EmbeddedClickHouse) -> None:
    """HTTP/1.0 has no chunks, so the connection is reset."""
    status, _ = curl(
        "--http1.0",
        server.url,
        "-d",
        "SELECT throwIf(number = 3000000), number FROM numbers(4000000)",
    )
    assert status != 0


def test_error_is_told_with_a_status(server: EmbeddedClickHouse) -> None:
    """--fail sees an error."""
    assert curl("--fail", server.url, "-d", "SELECT * FROM nowhere")[0] == 22
