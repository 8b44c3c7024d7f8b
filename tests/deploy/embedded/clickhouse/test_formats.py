from __future__ import annotations

import pytest

from deploy.embedded.clickhouse.formats import is_array_of_rows, joiner

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", ["Native", "JSONEachRow", "csv", "TSV", "RowBinary"])
def test_rows_concatenate(name: str) -> None:
    """Formats without a header are joined as they are."""
    found = joiner(name)
    assert found is not None
    assert not found.has_header
    assert [found.join(b"a\n"), found.join(b"b\n")] == [b"a\n", b"b\n"]


@pytest.mark.parametrize("name", ["JSON", "Parquet", "PrettyCompact", "Values", "Vertical", "x"])
def test_whole_formats_do_not_join(name: str) -> None:
    """Formats with a beginning and an end can't be streamed."""
    assert joiner(name) is None


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("TSVWithNames", b"a\tb\n"),
        ("TabSeparatedWithNamesAndTypes", b"a\tb\nInt8\tString\n"),
        ("CSVWithNames", b'"a\n""b""","c"\n'),
        ("CSVWithNamesAndTypes", b'"a"\n"Int8"\n'),
        ("JSONCompactEachRowWithNames", b'["a\\n"]\n'),
        ("RowBinaryWithNames", b"\x02\x01a\x02bb"),
        ("RowBinaryWithNamesAndTypes", b"\x01\x01a\x04Int8"),
        ("RowBinaryWithNames", b"\x01\x80\x01" + b"n" * 128),
    ],
)
def test_header_comes_once(name: str, header: bytes) -> None:
    """The header that every block repeats is kept from the first alone."""
    found = joiner(name)
    assert found is not None
    assert found.has_header
    joined = [found.join(header + rows) for rows in (b"one", b"two", b"")]
    assert joined == [header + b"one", b"two", b""]


def test_array_of_rows_is_noticed() -> None:
    """A setting that wraps all rows in one array shows in the first block."""
    assert is_array_of_rows("JSONEachRow", b'[\n{"a":1}\n]\n')
    assert not is_array_of_rows("JSONEachRow", b'{"a":1}\n')
    assert not is_array_of_rows("JSONCompactEachRow", b"[1]\n")
