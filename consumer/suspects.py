"""Which part of a refused insert to try on its own. Pure; `isolate.py` does the trying."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from consumer.intake import Identity, Sent
from consumer.resolve import KnownKeys, resolve
from schemas.tables import EventIdEntry, event_row

# Large enough that a batch with bad rows makes few parts, small enough that sending it again for
# every bad row in it costs little.
CHUNK: Final = 1024

# ClickHouse counts rows from 1, in the order of the lines. What a row holds may stand in the text
# too, before the first form and behind the second.
_PARSED: Final = re.compile(r"\(at row (\d{1,9})\)")
_CHECKED: Final = re.compile(r"is violated at row (\d{1,9})")


class Piece(NamedTuple):
    """One event ID of a batch: its sends, and the lines and entries that they become."""

    identity: Identity
    group: list[Sent]
    lines: list[bytes]
    entries: list[EventIdEntry]


def piece_of(identity: Identity, group: list[Sent], known: Mapping[Identity, KnownKeys]) -> Piece:
    """Resolve one ID by itself. A batch's lines are those of its pieces, in the same order."""
    return Piece(identity, group, *resolve({identity: group}, known))


def chunks(
    groups: Mapping[Identity, list[Sent]], known: Mapping[Identity, KnownKeys]
) -> Iterator[list[Piece]]:
    """Cut a batch. By hour, since every insert makes a part for each day that it touches: so a
    backfill over many days makes about as many parts as it has days, not that many for each chunk.
    """
    by_hour = sorted(groups.items(), key=lambda item: item[1][-1].key.hour)
    for start in range(0, len(by_hour), CHUNK):
        yield [piece_of(*item, known) for item in by_hour[start : start + CHUNK]]


def named_row(reason: str) -> int | None:
    """Give the row that ClickHouse's words name, from 0. A hint: a text can be misleading."""
    checked = _CHECKED.search(reason)
    found = [checked[1]] if checked else _PARSED.findall(reason)
    return int(found[-1]) - 1 if found else None


def named_piece(reason: str, pieces: Sequence[Piece]) -> int | None:
    """Give the index of the piece that the named row is of, if it is of any."""
    row = named_row(reason)
    if row is None or row < 0:
        return None
    for index, piece in enumerate(pieces):
        row -= len(piece.lines)
        if row < 0:
            return index
    return None


def suspected_send(piece: Piece, reason: str) -> Sent | None:
    """Give the send whose row must be at fault where a piece was refused all by itself: its
    winner. None if it is a tombstone: the batch brought no winner, or a constraint is violated
    further down than in the first row, where a winner stands. A tombstone of ours always parses.
    """
    best = piece.group[0]
    for sent in piece.group:
        if (sent.version, sent.key) >= (best.version, best.key):
            best = sent
    violated = _CHECKED.search(reason)
    if piece.lines[0] != event_row(best.value, best.version) or (violated and violated[1] != "1"):
        return None
    return best
