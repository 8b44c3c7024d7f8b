"""What the user asked `tally load` for, checked. Pure: raises ValueError that names the flag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from deploy.load.columns import CONSTANT_FIELDS, FIELDS, ColumnOptions
from schemas.event import MAX_BULK_EVENTS

Format = Literal["ndjson", "csv"]

STDIN: Final = Path("-")

_FORMAT_OF_SUFFIX: Final[dict[str, Format]] = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
    ".csv": "csv",
}


@dataclass(frozen=True)
class LoadOptions:
    """The flags of the command, as they were given."""

    file: Path
    batch_size: int
    retry_for_s: float
    url: str | None = None
    key: str | None = None
    format: str | None = None
    restart: bool = False
    refused: Path | None = None
    json: bool = False
    name: str | None = None
    map: Sequence[str] = field(default=())
    number: Sequence[str] = field(default=())
    skip: Sequence[str] = field(default=())
    set: Sequence[str] = field(default=())


def format_of(options: LoadOptions) -> Format:
    """The format asked for, else what the file's name says; NDJSON for a stream."""
    if options.format is not None:
        if options.format not in ("ndjson", "csv"):
            raise ValueError(f"--format {options.format}: use ndjson or csv")
        return "csv" if options.format == "csv" else "ndjson"
    if options.file == STDIN:
        return "ndjson"
    suffixes = [suffix.lower() for suffix in options.file.suffixes]
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    known = _FORMAT_OF_SUFFIX.get(suffixes[-1]) if suffixes else None
    if known is None:
        raise ValueError(
            f"the name {options.file.name!r} does not tell the format: give --format ndjson or csv"
        )
    return known


def column_options(options: LoadOptions, kind: Format) -> ColumnOptions:
    """Read --map, --number, --skip and --set."""
    if kind != "csv":
        for flag, given in (
            ("--map", options.map),
            ("--number", options.number),
            ("--skip", options.skip),
        ):
            if given:
                raise ValueError(f"{flag} is for CSV: NDJSON names its fields itself")
    return ColumnOptions(
        fields=_assignments("--map", options.map, FIELDS),
        numbers=frozenset(options.number),
        skipped=frozenset(options.skip),
        constants=_assignments("--set", options.set, CONSTANT_FIELDS),
    )


def check_bounds(options: LoadOptions) -> None:
    """Check the flags that are numbers, and that the refused lines don't go over the input."""
    refused = options.refused
    if (
        refused is not None
        and refused.exists()
        and options.file.exists()
        and refused.samefile(options.file)
    ):
        raise ValueError(f"--refused {refused} is the file to load: name another")
    if not 1 <= options.batch_size <= MAX_BULK_EVENTS:
        raise ValueError(f"--batch-size {options.batch_size}: use 1 to {MAX_BULK_EVENTS}")
    if not 0 <= options.retry_for_s < float("inf"):
        raise ValueError(f"--retry-for {options.retry_for_s:g}: use 0 or more seconds")


def _assignments(flag: str, given: Sequence[str], fields: Sequence[str]) -> dict[str, str]:
    assigned: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name not in fields:
            raise ValueError(f"{flag} {text!r}: use FIELD=..., FIELD one of {', '.join(fields)}")
        if name in assigned:
            raise ValueError(f"{flag} gives {name} twice")
        value.encode()  # what the shell passed may not be UTF-8: a ValueError too
        assigned[name] = value
    return assigned
