"""Rows of CSV into events: which column is which field, and which become properties."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from deploy.load.lines import EventIds, Prepared, Refusal
from deploy.load.reader import MAX_LINE_BYTES

REQUIRED_FIELDS: Final = ("event_name", "external_customer_id")
CONSTANT_FIELDS: Final = (*REQUIRED_FIELDS, "customer_id", "source", "timestamp")
FIELDS: Final = ("event_id", *CONSTANT_FIELDS)

_JSON_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_write = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class ColumnOptions:
    """What the user said about columns: ``fields`` maps a field of the event to its column."""

    fields: Mapping[str, str] = field(default_factory=dict)
    numbers: frozenset[str] = frozenset()
    skipped: frozenset[str] = frozenset()
    constants: Mapping[str, str] = field(default_factory=dict)


class Columns(NamedTuple):
    """Where things stand in a row: each field, and each property with whether it is a number."""

    width: int
    fields: tuple[tuple[str, int], ...]
    properties: tuple[tuple[str, int, bool], ...]


class Row(NamedTuple):
    """A row's cells, and the number of the line on which it begins."""

    line: int
    cells: list[str]


class _LineTooLong(Exception):  # noqa: N818 (caught in this file, never seen)
    pass


def read_rows(lines: Iterable[bytes]) -> Iterator[Row | Refusal]:
    """Give each row that is not empty; what is no CSV is refused and the next line begins anew.

    Bytes that are not UTF-8 come as lone surrogates, which `prepare_rows` refuses.
    """
    source = _TextLines(lines)
    reader = csv.reader(source, strict=True)
    while True:
        first = source.taken + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except _LineTooLong:
            yield Refusal(first, "", f"line {source.taken} is over {MAX_LINE_BYTES} bytes long")
        except csv.Error as error:
            span = f" (as far as line {source.taken})" if source.taken > first else ""
            yield Refusal(first, "", f"is no CSV{span}: {error}; is a quote left open?")
        else:
            if cells:
                yield Row(first, cells)


def plan_columns(header: list[str], options: ColumnOptions) -> Columns:
    """Fit the options to a header. Raises ValueError, naming the flag to change."""
    places: dict[str, int] = {}
    for index, name in enumerate(header):
        if name in places and name not in options.skipped:
            raise ValueError(f"the header has two columns {name!r}: rename one, or --skip both")
        places[name] = index
    if "" in places and "" not in options.skipped:
        raise ValueError(
            f"column {places[''] + 1} has no name: give it one, or leave it: --skip ''"
        )
    named = [("--map", column) for column in options.fields.values()]
    named += [("--number", column) for column in sorted(options.numbers)]
    named += [("--skip", column) for column in sorted(options.skipped)]
    for flag, column in named:
        if column not in places:
            raise ValueError(f"{flag}: no column {column!r}; the header has {', '.join(header)}")
    fields = {name: options.fields.get(name, name) for name in FIELDS}
    for name in REQUIRED_FIELDS:
        if fields[name] not in places and name not in options.constants:
            raise ValueError(
                f"no column gives {name}: name one with --map {name}=COLUMN, or give every "
                f"event the same with --set {name}=VALUE"
            )
    used = {column for column in fields.values() if column in places}
    return Columns(
        width=len(header),
        fields=tuple(
            (name, places[column])
            for name, column in fields.items()
            if column in used and name not in options.constants
        ),
        properties=tuple(
            (column, index, column in options.numbers)
            for column, index in places.items()
            if column not in used and column not in options.skipped
        ),
    )


def prepare_rows(
    rows: Iterable[Row | Refusal], columns: Columns, ids: EventIds, constants: Mapping[str, str]
) -> Iterator[Prepared]:
    """Make an event of each row. An empty cell says nothing: its field or property is left out."""
    for row in rows:
        yield row if isinstance(row, Refusal) else _event(row, columns, ids, constants)


def _event(row: Row, columns: Columns, ids: EventIds, constants: Mapping[str, str]) -> Prepared:
    line, cells = row
    if len(cells) != columns.width:
        return Refusal(line, "", f"has {len(cells)} cells, the header has {columns.width}")
    event: dict[str, object] = {name: cells[at] for name, at in columns.fields if cells[at]}
    event.update(constants)
    if "event_id" not in event:
        text = "\x1f".join(cells).encode("utf-8", "surrogateescape")
        event["event_id"] = ids.make(line, text)
    properties: dict[str, str | msgspec.Raw] = {}
    for name, at, is_number in columns.properties:
        cell = cells[at]
        if is_number and (digits := cell.strip()):
            if not _JSON_NUMBER.fullmatch(digits):
                reason = f"{cell[:64]!r} is no JSON number such as 12, -0.5 or 1e3"
                return Refusal(line, name, reason)
            properties[name] = msgspec.Raw(digits.encode())
        elif cell and not is_number:
            properties[name] = cell
    if properties:
        event["properties"] = properties
    try:
        return line, _write(event)
    except UnicodeEncodeError:
        return Refusal(line, "", "holds bytes that are not UTF-8")


class _TextLines:
    """Lines as `csv` wants them, counted; goes on after a line that it could not give."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self.taken = 0

    def __iter__(self) -> _TextLines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.taken += 1
        if len(line) > MAX_LINE_BYTES:
            raise _LineTooLong
        return line.decode("utf-8", "surrogateescape") + "\n"
