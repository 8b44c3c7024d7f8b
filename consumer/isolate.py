"""Storing a batch even where ClickHouse refuses some row of it: find the row, store the rest."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

from consumer.errors import Misconfigured, MustStop, Refused
from consumer.intake import Identity, Sent
from consumer.resolve import KnownKeys, resolve
from consumer.store import Store
from consumer.suspects import Piece, chunks, named_piece, piece_of, suspected_send
from schemas.tables import EventIdEntry

_log = logging.getLogger(__name__)


class Stored(NamedTuple):
    """What became of a batch: entries for ``event_ids`` of all that was stored, and each send that
    ClickHouse refuses, with its words.
    """

    entries: list[EventIdEntry]
    refused: list[tuple[Sent, str]]


async def insert_isolating(
    store: Store,
    groups: Mapping[Identity, list[Sent]],
    known: Mapping[Identity, KnownKeys],
    *,
    at_most: int | None = None,
) -> Stored:
    """Resolve a batch and store it in one insert; if ClickHouse refuses that, in several, without
    the sends that it refuses.

    Of one ID, a refused winner is put aside and the rest resolved again, so that the send before
    it stands: the last one that can be stored. Replayed later under its own version, the winner
    takes its place.

    Storing parts of a batch in any order is safe. The sends of an ID, its row and the tombstones
    that go with it, stay in one insert; other IDs have no say in it. Nothing is in ``event_ids``
    yet, which the caller writes for ``entries`` alone, and the offset is not committed. So
    stopping anywhere in here, by an error, a cancellation or a kill, only means that the batch is
    done again: the same versions, the same rows, no duplicate.

    Raises `Unavailable` or `Misconfigured` as the store does, and `Misconfigured` when it refuses
    tombstones, which hold nothing that a sender chose. Raises `MustStop` as soon as more than
    ``at_most`` sends are refused, before it has tried thousands one by one.
    """
    resolved = resolve(groups, known)
    if not resolved.event_lines:
        return Stored(resolved.entries, [])
    try:
        await store.insert_events(resolved.event_lines)
    except Refused as error:
        _log.warning("looking for the rows at fault among %d IDs: %s", len(groups), error)
    else:
        return Stored(resolved.entries, [])
    search = _Search(store, known, at_most)
    for chunk in chunks(groups, known):
        await search.store(chunk)
    return Stored(search.entries, search.refused)


class _Search:
    """Stores pieces of a batch, and collects what came of them."""

    def __init__(
        self, store: Store, known: Mapping[Identity, KnownKeys], at_most: int | None
    ) -> None:
        self._store = store
        self._known = known
        self._at_most = at_most
        self.entries: list[EventIdEntry] = []
        self.refused: list[tuple[Sent, str]] = []

    async def store(self, pieces: list[Piece]) -> None:
        """Store what can be stored of the pieces, in as few inserts as that takes.

        A piece that ClickHouse names is tried alone. If that was right, the others are tried
        together again: two inserts for each bad row, and one part for all the good ones. Else they
        are halved.
        """
        while pieces:
            reason = await self._refusal(pieces)
            if reason is None:
                return
            if len(pieces) == 1:
                pieces = self._put_aside(pieces[0], reason)
                continue
            suspect = named_piece(reason, pieces)
            if suspect is not None:
                refused_before = len(self.refused)
                await self.store([pieces[suspect]])
                pieces = pieces[:suspect] + pieces[suspect + 1 :]
                if len(self.refused) > refused_before:
                    continue
            middle = len(pieces) // 2
            await self.store(pieces[:middle])
            pieces = pieces[middle:]

    async def _refusal(self, pieces: list[Piece]) -> str | None:
        """Try to store the pieces in one insert; give the reason if they are refused."""
        lines = [line for piece in pieces for line in piece.lines]
        if lines:
            try:
                await self._store.insert_events(lines)
            except Refused as error:
                return str(error)
        for piece in pieces:
            self.entries += piece.entries
        return None

    def _put_aside(self, piece: Piece, reason: str) -> list[Piece]:
        """Take the send at fault out of a piece; give what is left of it, if anything is."""
        bad = suspected_send(piece, reason)
        if bad is None:
            raise Misconfigured(
                "the table events refuses a tombstone (is_deleted = 1, no name, no properties), "
                f"which no record is to blame for; its constraints must let them pass: {reason}"
            )
        self.refused.append((bad, reason))
        if self._at_most is not None and len(self.refused) > self._at_most:
            raise MustStop(
                f"ClickHouse refuses more than {self._at_most} records of one batch: rather the "
                "table than the records is at fault (TALLY_CONSUMER_MAX_DEAD_LETTER_RUN and "
                f"_RATIO are the limits); the last reason was: {reason}"
            )
        rest = [sent for sent in piece.group if sent is not bad]
        return [piece_of(piece.identity, rest, self._known)] if rest else []
