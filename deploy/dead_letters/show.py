"""Dead letters in words, as tables and as JSON. Pure, but for the terminal's width."""

from __future__ import annotations

import base64
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from schemas.dead_letters import DeadLetter

_WIDE: Final = 200
_REASON_CHARS: Final = 120


def as_summary(letter: DeadLetter) -> dict[str, object]:
    """Give what a list shows of a letter."""
    return {
        "origin": letter.origin,
        "tenant": letter.tenant,
        "event_id": letter.event_id,
        "appended_at": append_time(letter),
        "attempts": letter.attempts,
        "reason": letter.reason,
        "value_bytes": len(letter.record.value),
    }


def as_whole(letter: DeadLetter) -> dict[str, object]:
    """Give everything of a letter. ``value`` is None if it is no UTF-8."""
    return {
        **as_summary(letter),
        "version": letter.version,
        "key": letter.record.key.decode(errors="replace"),
        "headers": {
            name: value.decode(errors="replace") for name, value in letter.record.headers.items()
        },
        "value": _text(letter.record.value),
        "value_base64": base64.b64encode(letter.record.value).decode(),
    }


def print_list(letters: Sequence[DeadLetter]) -> None:
    """Print a table: a line for each letter where nobody watches, else to the terminal's width."""
    table = Table(
        Column("origin", no_wrap=True),
        "tenant",
        Column("appended", no_wrap=True),
        Column("attempts", justify="right"),
        Column("bytes", justify="right"),
        "reason",
    )
    for letter in letters:
        table.add_row(
            Text(visible(letter.origin)),
            Text(visible(letter.tenant)),
            append_time(letter) or "unknown",
            str(letter.attempts),
            str(len(letter.record.value)),
            Text(_cut(visible(letter.reason))),
        )
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def in_words(letter: DeadLetter) -> str:
    """Write everything of a letter, a line for each fact, the value at the end."""
    record = letter.record
    facts = [
        ("origin", letter.origin),
        ("tenant", letter.tenant),
        ("event ID", letter.event_id),
        ("appended", append_time(letter) or "unknown"),
        ("version", str(letter.version)),
        ("attempts", str(letter.attempts)),
        ("reason", letter.reason),
        *(
            (f"header {name}", value.decode(errors="replace"))
            for name, value in record.headers.items()
        ),
    ]
    lines = [f"{name:<9} {visible(text)}" for name, text in facts]
    value = _text(record.value)
    if value is None:
        lines.append(f"value     {len(record.value)} bytes, no UTF-8: --raw writes them")
    else:
        lines += [f"value     {len(record.value)} bytes:", visible(value)]
    return "\n".join(lines) + "\n"


def append_time(letter: DeadLetter) -> str | None:
    """Give when the log first took the record, in UTC; None if it did not say."""
    if letter.record.append_ms < 0:
        return None
    seconds, ms = divmod(letter.record.append_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03}Z"


def visible(text: str) -> str:
    """Write what a terminal might obey as an escape sequence: senders and producers wrote it."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _cut(text: str) -> str:
    return text if len(text) <= _REASON_CHARS else text[: _REASON_CHARS - 3] + "..."


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
