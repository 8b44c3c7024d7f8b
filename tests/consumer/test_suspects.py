"""Which part of a refused insert is tried on its own, and whatever a store refuses is found."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.errors import Misconfigured, MustStop, Refused, Unavailable
from consumer.intake import Identity, Sent
from consumer.isolate import insert_isolating
from consumer.resolve import KnownKeys, group_by_identity
from consumer.suspects import CHUNK, chunks, named_row
from schemas.tables import EventIdEntry
from tests.consumer.model import Tables, sent
from tests.consumer.sends import consume

pytestmark = pytest.mark.unit


class PickyTables:
    """The model's tables as a store that refuses some versions, and may be away at times.

    ``hint`` says what a refusal names: the row at fault, none, or a wrong one.
    """

    def __init__(self, refuses: Collection[int], *, hint: str = "right") -> None:
        self.tables = Tables()
        self.inserts = 0
        self.away_at: set[int] = set()
        self._refuses = refuses
        self._hint = hint

    async def look_up(self, identities: Collection[Identity]) -> Mapping[Identity, KnownKeys]:
        return self.tables.look_up(identities)

    async def insert_events(self, lines: Sequence[bytes]) -> None:
        self.inserts += 1
        if self.inserts in self.away_at:
            raise Unavailable("away")
        for number, line in enumerate(lines, 1):
            row = orjson.loads(line)
            if row["version"] in self._refuses and not row.get("is_deleted"):
                named = {"right": number, "wrong": number % len(lines) + 1, "far": 10**8}
                row_named = named.get(self._hint)
                raise Refused("no" if row_named is None else f"no: (at row {row_named})\n")
        self.tables.insert_events(lines)

    async def insert_event_ids(self, entries: Sequence[EventIdEntry]) -> None:
        self.tables.insert_event_ids(entries)


class Send(NamedTuple):
    event_id: str
    hour: int
    is_bad: bool


batches = st.lists(
    st.lists(
        st.builds(Send, st.sampled_from("abcdefgh"), st.integers(0, 2), st.booleans()), max_size=9
    ),
    min_size=1,
    max_size=4,
)


@given(batches, st.sampled_from(["right", "wrong", "far", "none"]), st.sets(st.integers(1, 12)))
def test_what_can_be_stored_is_stored_and_the_rest_is_named(
    log: list[list[Send]], hint: str, away_at: set[int]
) -> None:
    """Of every ID the last send stands that the store takes, and exactly those sends are put aside
    that no good one superseded, whatever the store names, and when it is away in between.
    """
    versions = iter(range(1, 1000))
    stamped = [[(next(versions), one) for one in batch] for batch in log]
    bad = {version for batch in stamped for version, one in batch if one.is_bad}
    store = PickyTables(bad, hint=hint)
    store.away_at = away_at
    best: dict[str, tuple[int, int]] = {}
    for batch in stamped:
        sends = [
            sent(one.event_id, hour=one.hour, customer="c", version=version, name=one.event_id)
            for version, one in batch
        ]
        refused = asyncio.run(insist(store, sends, times=len(away_at) + 1))
        for version, one in batch:
            if not one.is_bad:
                best[one.event_id] = (version, one.hour)
        superseded = [
            version for version, one in batch if version < best.get(one.event_id, (0, 0))[0]
        ]
        expected = {version for version, one in batch if one.is_bad} - set(superseded)
        assert sorted(one.version for one, _ in refused) == sorted(expected)
    alive = {name: version for _, version, name in store.tables.alive()}
    assert alive == {event_id: version for event_id, (version, _) in best.items()}


async def insist(store: PickyTables, batch: list[Sent], *, times: int) -> list[tuple[Sent, str]]:
    """Do a batch again, whole, each time the store was away."""
    for _ in range(times - 1):
        with suppress(Unavailable):
            return await consume(store, batch)
    return await consume(store, batch)


def test_a_good_batch_is_one_insert() -> None:
    """Nobody pays for the search where nothing is refused."""
    store = PickyTables({0})
    batch = [sent(str(n), hour=n % 5, customer="c", version=n + 1) for n in range(5000)]
    assert asyncio.run(consume(store, batch)) == []
    assert store.inserts == 1


@pytest.mark.parametrize(("hint", "at_most"), [("right", 110), ("none", 550), ("wrong", 700)])
def test_few_inserts_find_few_bad_rows(hint: str, at_most: int) -> None:
    """With the row named it takes two inserts for each, and a handful for the rest; else halving,
    which a wrong name makes longer by less than its double.
    """
    bad = set(range(50, 5000, 100))
    store = PickyTables(bad, hint=hint)
    batch = [sent(str(n), hour=n % 5, customer="c", version=n) for n in range(5000)]
    refused = asyncio.run(consume(store, batch))
    assert {one.version for one, _ in refused} == bad
    assert store.inserts <= at_most


def test_a_table_that_refuses_everything_ends_the_search() -> None:
    """Beyond the limit it is not the records: nobody waits for thousands of single inserts."""
    batch = [sent(str(n), hour=1, customer="c", version=n) for n in range(1, 5000)]
    store = PickyTables(range(5000))
    with pytest.raises(MustStop, match="TALLY_CONSUMER_MAX_DEAD_LETTER_RUN"):
        asyncio.run(insert_isolating(store, group_by_identity(batch), {}, at_most=20))
    assert store.inserts < 100


def test_refused_tombstones_are_nobodys_fault() -> None:
    """A stale send brings a tombstone alone; a table that refuses it must be mended."""

    class NoTombstones(PickyTables):
        async def insert_events(self, lines: Sequence[bytes]) -> None:
            for number, line in enumerate(lines, 1):
                if b'"is_deleted":1' in line:
                    raise Refused(f"Constraint `c` is violated at row {number}. Expression: ...")
            await super().insert_events(lines)

    old = sent("x", hour=1, customer="c", version=1)
    new = sent("x", hour=2, customer="c", version=2)
    for first, second in ((new, old), (old, new)):
        store = NoTombstones(())
        assert asyncio.run(consume(store, [first])) == []
        with pytest.raises(Misconfigured, match="is_deleted"):
            asyncio.run(consume(store, [second]))


def test_chunks_hold_everything_once_and_keep_hours_together() -> None:
    """A backfill in any order is cut by time, since each insert costs a part a day."""
    batch = [sent(str(n), hour=n * 7 % 600, customer="c", version=n) for n in range(2 * CHUNK + 5)]
    groups = group_by_identity(batch)
    pieces = list(chunks(groups, {}))
    assert [len(chunk) for chunk in pieces] == [CHUNK, CHUNK, 5]
    assert {piece.identity for chunk in pieces for piece in chunk} == set(groups)
    hours = [piece.group[0].key.hour for chunk in pieces for piece in chunk]
    assert hours == sorted(hours)


@pytest.mark.parametrize(
    ("reason", "row"),
    [
        ("Cannot parse input: (while reading the value of key version): (at row 8)\n: (in x)", 7),
        ("expected ',' before: '(at row 3)': (at row 8)\n", 7),
        ("Constraint `c` for table t is violated at row 1. Values: n = '(at row 5)'.", 0),
        ("boo: while executing 'FUNCTION throwIf'", None),
        ("(at row 99999999999999999999)", None),
    ],
)
def test_the_row_that_clickhouse_names(reason: str, row: int | None) -> None:
    """It counts from 1, and what the rows themselves say is not taken for it."""
    assert named_row(reason) == row
