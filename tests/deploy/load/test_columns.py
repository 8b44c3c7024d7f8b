"""CSV rows into events: cells where they belong, digits as they are, line numbers right."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.load.columns import ColumnOptions, Row, plan_columns, prepare_rows, read_rows
from deploy.load.lines import EventIds, Prepared, Refusal
from deploy.load.reader import MAX_LINE_BYTES

pytestmark = pytest.mark.unit

HEADER = ["event_id", "event_name", "external_customer_id", "p"]


def lines_of(text: str) -> list[bytes]:
    return text.encode("utf-8", "surrogateescape").split(b"\n")


def prepare(rows: list[list[str]], header: list[str], **options: Any) -> list[Prepared]:
    given_options = ColumnOptions(**options)
    columns = plan_columns(header, given_options)
    numbered = [Row(2 + at, cells) for at, cells in enumerate(rows)]
    return list(prepare_rows(numbered, columns, EventIds("f"), given_options.constants))


def event(prepared: Prepared) -> Any:
    assert not isinstance(prepared, Refusal)
    return json.loads(prepared[1])


cells = st.text(st.sampled_from('ab,"\n\r é'), max_size=6)


@given(
    st.lists(st.lists(cells, min_size=2, max_size=4), max_size=6), st.sampled_from(["\n", "\r\n"])
)
def test_rows_come_back_with_their_lines(rows: list[list[str]], end: str) -> None:
    """Every row that a CSV writer wrote is read as it was, numbered by where it begins."""
    out = io.StringIO(newline="")
    begins = []
    for row in rows:
        begins.append(out.getvalue().count("\n") + 1)
        csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL).writerow(row)

    read = list(read_rows(lines_of(out.getvalue())[:-1]))

    assert read == [Row(*pair) for pair in zip(begins, rows, strict=True)]


def test_what_is_no_csv_is_refused_alone() -> None:
    """Text behind a closing quote, or a line too long, costs that line; the next row is read."""
    long = "x" * (MAX_LINE_BYTES + 1)
    bad, good, endless, last = read_rows(lines_of(f'a,"b"c\nd,e\n{long}\nf,g'))

    assert isinstance(bad, Refusal)
    assert str(bad).startswith("line 1: is no CSV: ")
    assert good == Row(2, ["d", "e"])
    assert isinstance(endless, Refusal)
    assert endless.line == 3
    assert last == Row(4, ["f", "g"])


def test_a_quote_left_open_is_found() -> None:
    """The refusal names the line where the cell began and how far it went."""
    (refusal,) = read_rows(lines_of('a,"b\nc,d\ne,f'))
    assert isinstance(refusal, Refusal)
    assert str(refusal).startswith("line 1: is no CSV (as far as line 3): ")
    assert "is a quote left open?" in str(refusal)


def test_empty_lines_are_passed_over() -> None:
    """They are no rows, but they count."""
    assert list(read_rows(lines_of("a\n\n\r\nb"))) == [Row(1, ["a"]), Row(4, ["b"])]


def test_columns_are_fields_or_properties() -> None:
    """A field's own name or --map makes a column a field; every other one is a property."""
    (prepared,) = prepare(
        [["1", "acme", "x", "7", "spare"]],
        ["key", "external_customer_id", "event_name", "qty", "event_id"],
        fields={"event_id": "key"},
        numbers=frozenset({"qty"}),
    )
    assert event(prepared) == {
        "event_id": "1",
        "external_customer_id": "acme",
        "event_name": "x",
        "properties": {"qty": 7, "event_id": "spare"},
    }


def test_a_constant_replaces_a_column() -> None:
    """What --set gives holds for every row, and the column is no property either."""
    (prepared,) = prepare([["1", "n", "c", ""]], HEADER, constants={"event_name": "set"})
    assert event(prepared) == {"event_id": "1", "event_name": "set", "external_customer_id": "c"}


@pytest.mark.parametrize("digits", ["0", "-0.50", "1e3", "12345678901234567890.123456789", " 7 "])
def test_numbers_keep_their_digits(digits: str) -> None:
    """A number goes as the cell has it, beyond what a double could hold."""
    (prepared,) = prepare([["1", "n", "c", digits]], HEADER, numbers=frozenset({"p"}))
    assert not isinstance(prepared, Refusal)
    assert b'"properties":{"p":%b}' % digits.strip().encode() in prepared[1]


@pytest.mark.parametrize(
    "digits", ["many", "1,5", "+1", ".5", "5.", "007", "NaN", "0x1", "1 2", "²"]
)
def test_what_is_no_number_is_refused(digits: str) -> None:
    """A cell of a --number column that JSON would not take is named with its column."""
    (refusal,) = prepare([["1", "n", "c", digits]], HEADER, numbers=frozenset({"p"}))
    assert isinstance(refusal, Refusal)
    assert (refusal.line, refusal.field) == (2, "p")
    assert "is no JSON number" in refusal.reason


def test_empty_cells_say_nothing() -> None:
    """No field, property or number comes of an empty cell, and an event without ID gets one."""
    first, second = prepare(
        [["", "n", "c", ""], ["", "n", "c", ""]], HEADER, numbers=frozenset({"p"})
    )
    assert event(first).keys() == {"event_id", "event_name", "external_customer_id"}
    assert event(first)["event_id"] != event(second)["event_id"]


@pytest.mark.parametrize("row", [["1", "n", "c"], ["1", "n", "c", "p", "q"]])
def test_a_row_of_another_width_is_refused(row: list[str]) -> None:
    """Its cells may all stand in the wrong columns."""
    (refusal,) = prepare([row], HEADER)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == f"has {len(row)} cells, the header has 4"


def test_bytes_that_are_not_utf8_are_refused() -> None:
    """Such a row is named; what its bytes were meant to be is nobody's guess."""
    (row,) = read_rows([b"1,n,c,\xff"])
    assert isinstance(row, Row)
    (refusal,) = prepare([row.cells], HEADER)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "holds bytes that are not UTF-8"


@pytest.mark.parametrize(
    ("header", "options", "said"),
    [
        (["a", "a"], {}, "two columns 'a'"),
        (["event_name", ""], {}, "column 2 has no name"),
        (["event_name"], {}, "--map external_customer_id=COLUMN"),
        (HEADER, {"numbers": frozenset({"q"})}, "--number: no column 'q'"),
        (HEADER, {"skipped": frozenset({"q"})}, "--skip: no column 'q'"),
    ],
)
def test_a_header_that_does_not_fit_is_said(
    header: list[str], options: dict[str, Any], said: str
) -> None:
    """The error names the flag to change."""
    with pytest.raises(ValueError, match=said):
        plan_columns(header, ColumnOptions(**options))
