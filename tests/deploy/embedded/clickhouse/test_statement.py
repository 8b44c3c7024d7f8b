from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.embedded.clickhouse.errors import RequestError
from deploy.embedded.clickhouse.statement import InsertHead, find_insert, read_statement

pytestmark = pytest.mark.unit

INSERTS = [
    (b"INSERT INTO t FORMAT CSV\n1,2", b"INSERT INTO t ", "CSV", b"1,2"),
    (b"insert into t format jsonEachRow {}", b"insert into t ", "jsonEachRow", b"{}"),
    (b"INSERT INTO t (a, format) FORMAT TSV\r\n\t1", b"INSERT INTO t (a, format) ", "TSV", b"\t1"),
    (b"INSERT INTO format FORMAT CSV\n1", b"INSERT INTO format ", "CSV", b"1"),
    (b"INSERT INTO db.format FORMAT CSV\n1", b"INSERT INTO db.format ", "CSV", b"1"),
    (b"INSERT INTO `a FORMAT b` VALUES (1)", b"INSERT INTO `a FORMAT b` ", "Values", b" (1)"),
    (b"INSERT INTO t(`x``)`) VALUES(1)", b"INSERT INTO t(`x``)`) ", "Values", b"(1)"),
    (b"INSERT INTO t FORMAT Values (1)", b"INSERT INTO t ", "Values", b" (1)"),
    (
        b"INSERT INTO t (a) SETTINGS x=1, y='FORMAT Z' FORMAT Native\n\n\xff\x00",
        b"INSERT INTO t (a) SETTINGS x=1, y='FORMAT Z' ",
        "Native",
        b"\n\xff\x00",
    ),
    (
        b"INSERT INTO FUNCTION file('FORMAT CSV', 'TSV') VALUES (1)",
        b"INSERT INTO FUNCTION file('FORMAT CSV', 'TSV') ",
        "Values",
        b" (1)",
    ),
    (
        b"-- FORMAT A\n/* INSERT */ INSERT /* VALUES */ INTO TABLE t FORMAT CSV 1",
        b"-- FORMAT A\n/* INSERT */ INSERT /* VALUES */ INTO TABLE t ",
        "CSV",
        b"1",
    ),
    (b"INSERT INTO {t:Identifier} VALUES (1)", b"INSERT INTO {t:Identifier} ", "Values", b" (1)"),
    (b"INSERT INTO t FORMAT CSV", b"INSERT INTO t ", "CSV", b""),
]


@pytest.mark.parametrize(("text", "sql", "name", "data"), INSERTS)
def test_insert_is_cut_where_its_data_begins(
    text: bytes, sql: bytes, name: str, data: bytes
) -> None:
    """The head ends before VALUES or FORMAT, and data begins where ClickHouse says."""
    found = find_insert(text, complete=True)
    assert isinstance(found, InsertHead)
    assert (found.sql + found.settings, found.format) == (sql, name)
    assert text[found.data_at :] == data


@pytest.mark.parametrize(("text", "sql", "name", "data"), INSERTS)
def test_more_text_never_changes_an_answer(text: bytes, sql: bytes, name: str, data: bytes) -> None:
    """Any beginning either asks for more or gives the head that the whole text gives."""
    whole = find_insert(text, complete=True)
    answers = [find_insert(text[:size], complete=False) for size in range(len(text) + 1)]
    assert all(found is True or found == whole for found in answers)


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT 1",
        b"",
        b"  -- only a comment",
        b"INSERT INTO t SELECT 1 AS format FORMAT CSV",
        b"INSERT INTO t (a) WITH 1 AS x SELECT x",
        b"INSERT INTO t (SELECT 'VALUES')",
        b"INSERT INTO t",
        b"INSERT INTO 'broken",
        b"EXPLAIN INSERT INTO t VALUES (1)",
    ],
)
def test_other_statements_are_not_inserts_with_data(text: bytes) -> None:
    """What the engine must see whole is left alone."""
    assert find_insert(text, complete=True) is False


def test_infile_is_refused() -> None:
    """A statement can't read the server's files into a table."""
    with pytest.raises(RequestError, match="INFILE"):
        find_insert(b"INSERT INTO t FROM INFILE '/x' FORMAT CSV", complete=True)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_classified(text: bytes, complete: bool) -> None:
    """No input makes the scanner fail or ask for more than there is."""
    found = find_insert(text, complete=complete)
    assert found is not True or not complete


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"SELECT 1", None),
        (b"SELECT 1 FORMAT JSON", "JSON"),
        (b"SELECT 1 format JSONEachRow;", "JSONEachRow"),
        (b"SELECT 1 FORMAT TSV SETTINGS max_threads = 1, x = 'a'", "TSV"),
        (b"SELECT 'x FORMAT CSV'", None),
        (b"SELECT 1 -- FORMAT CSV", None),
        (b"SELECT 1 FORMAT CSV -- the end", "CSV"),
        (b"SELECT 1 AS format", None),
        (b"SELECT format FROM t", None),
        (b"SELECT a FROM (SELECT 1 AS a FORMAT CSV) LIMIT 1", None),
        (b"SELECT $x$ FORMAT CSV$x$", None),
    ],
)
def test_format_clause_is_found_at_the_end(text: bytes, name: str | None) -> None:
    """Only a clause of the statement itself names the answer's format."""
    assert read_statement(text).format == name


@pytest.mark.parametrize("text", [b"", b"  ", b";", b"-- nothing\n", b"/* nothing */ ;"])
def test_empty_statement_is_refused(text: bytes) -> None:
    """Nothing to run is a syntax error, as on a server."""
    with pytest.raises(RequestError, match="Empty query") as refused:
        read_statement(text)
    assert refused.value.code == 62


def test_several_statements_are_refused() -> None:
    """One request runs one statement; a semicolon in a string or at the end is none more."""
    with pytest.raises(RequestError, match="Multi-statements"):
        read_statement(b"SELECT 1; SELECT 2")
    assert read_statement(b"SELECT ';', 1 ; -- x; y\n").is_select


def test_outfile_is_refused() -> None:
    """A statement can't write the server's files."""
    with pytest.raises(RequestError, match="OUTFILE"):
        read_statement(b"SELECT 1 INTO /* x */ OUTFILE '/tmp/x'")


@pytest.mark.parametrize(
    ("text", "is_select", "is_control"),
    [
        (b"(SELECT 1) UNION ALL (SELECT 2)", True, False),
        (b"/* x */ with 1 as x select x", True, False),
        (b"set max_threads = 1", False, True),
        (b"USE db", False, True),
        (b"SHOW TABLES", False, False),
    ],
)
def test_kind_is_known_by_the_first_word(text: bytes, is_select: bool, is_control: bool) -> None:
    """What can stream, and what speaks to the session, is told by the first word."""
    statement = read_statement(text)
    assert (statement.is_select, statement.is_control) == (is_select, is_control)


def test_long_strings_are_read_in_linear_time() -> None:
    """A megabyte of literals, or one that never ends, costs no more than reading it."""
    text = b"SELECT [" + b"'it''s \\' here'," * 100_000 + b"1]"
    assert read_statement(text).is_select
    assert find_insert(b"INSERT INTO t (`" + b"a" * 1_000_000, complete=False) is True
