"""What a batch becomes, and that any order of any crashes ends the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.intake import Sent
from consumer.resolve import group_by_identity, resolve, second_look
from tests.consumer.model import Tables, sent

pytestmark = pytest.mark.unit

Step = Callable[[], None]


def steps(tables: Tables, batch: list[Sent], *, check_twice: bool = True) -> Iterator[None]:
    """Do what the consumer does for one batch, a step of it at each `next`."""
    groups = group_by_identity(batch)
    known = tables.look_up(groups)
    yield
    resolved = resolve(groups, known)
    tables.insert_events(resolved.event_lines)
    yield
    tables.insert_event_ids(resolved.entries)
    yield
    if check_twice:
        known = tables.look_up(groups)
        yield
        tables.insert_events(second_look(groups, known))
        yield


STEPS = 5


def consume(tables: Tables, batch: list[Sent]) -> None:
    """Do a whole batch at once."""
    for _ in steps(tables, batch):
        pass


def test_the_last_version_of_an_id_stands_alone() -> None:
    """Of sends under three keys only the last one is alive."""
    tables = Tables()
    first = sent("x", hour=1, customer="a", version=1, name="first")
    second = sent("x", hour=2, customer="a", version=2, name="second")
    third = sent("x", hour=2, customer="b", version=3, name="third")
    for batch in ([first], [second], [third]):
        consume(tables, batch)
    assert tables.alive() == [(third.key, 3, "third")]


def test_losers_within_a_batch_get_tombstones() -> None:
    """A key that lost inside its own batch is hidden too: a zombie may still write its row."""
    first = sent("x", hour=1, customer="a", version=1)
    second = sent("x", hour=2, customer="a", version=2)
    resolved = resolve(group_by_identity([first, second]), {})
    assert len(resolved.event_lines) == 2
    assert len(resolved.entries) == 2


def test_a_stale_record_is_not_written_but_hidden() -> None:
    """A dead letter that comes back under its old version can't bring an old event back."""
    tables = Tables()
    old = sent("x", hour=1, customer="a", version=1, name="old")
    new = sent("x", hour=2, customer="a", version=2, name="new")
    consume(tables, [new])
    consume(tables, [old])
    assert tables.alive() == [(new.key, 2, "new")]


def test_going_back_to_an_earlier_key_revives_it() -> None:
    """An event moved away and back is alive at its first key, above the tombstone there."""
    tables = Tables()
    for version, hour in ((1, 1), (2, 2), (3, 1)):
        consume(tables, [sent("x", hour=hour, customer="a", version=version)])
    assert [version for _, version, _ in tables.alive()] == [3]


def test_of_equal_versions_the_greater_key_wins() -> None:
    """Two partitions may give one version in one millisecond; everybody picks the same winner."""
    low = sent("x", hour=1, customer="a", version=7, name="low")
    high = sent("x", hour=1, customer="b", version=7, name="high")
    for batches in ([[low], [high]], [[high], [low]], [[low, high]], [[high, low]]):
        tables = Tables()
        for batch in batches:
            consume(tables, batch)
        assert [name for _, _, name in tables.alive()] == ["high"]


sends = st.lists(
    st.tuples(st.sampled_from("xyz"), st.integers(0, 2), st.sampled_from("ab")), max_size=12
)


@given(sends, st.data())
def test_any_batches_and_any_replay_end_like_a_dictionary(
    log: list[tuple[str, int, str]], data: st.DataObject
) -> None:
    """However a log is cut and replayed, the last send of an ID stands."""
    records = [
        sent(event_id, hour=hour, customer=customer, version=number, name=str(number))
        for number, (event_id, hour, customer) in enumerate(log, start=1)
    ]
    tables = Tables()
    stored = 0
    while stored < len(records):
        start = stored - data.draw(st.integers(0, min(3, stored)), label="replayed")
        end = start + data.draw(st.integers(1, 5), label="batch size")
        consume(tables, records[start:end])
        stored = max(stored, end)
    last = {record.identity: record for record in records}
    assert tables.alive() == sorted(
        (record.key, record.version, str(record.version)) for record in last.values()
    )


def outcomes(
    first: list[Sent], second: list[Sent], *, crash_after: int | None, check_twice: bool = True
) -> Iterator[Tables]:
    """Every interleaving of two consumers; the first may crash after some steps and replay."""
    runs = 2 if crash_after is not None else 1
    length = STEPS + (crash_after or 0) if check_twice else 3 + (crash_after or 0)
    other = STEPS if check_twice else 3
    for places in combinations(range(length + other), length):
        tables = Tables()
        mine = [steps(tables, first, check_twice=check_twice) for _ in range(runs)]
        theirs = steps(tables, second, check_twice=check_twice)
        done = 0
        for place in range(length + other):
            if place in places:
                run = 0 if crash_after is None or done < crash_after else 1
                next(mine[run], None)
                done += 1
            else:
                next(theirs, None)
        for left in (mine[-1], theirs):
            for _ in left:
                pass
        yield tables


# The ID was moved: two partitions hold its two sends, after the partition count grew.
OLD = sent("x", hour=1, customer="a", version=1, name="old")
NEW = sent("x", hour=2, customer="b", version=2, name="new")


@pytest.mark.parametrize("crash_after", [None, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(("first", "second"), [([OLD], [NEW]), ([NEW], [OLD])])
def test_two_consumers_in_any_order_leave_one_row(
    first: list[Sent], second: list[Sent], crash_after: int | None
) -> None:
    """Every interleaving of two consumers on one ID, one of them killed anywhere, converges."""
    for tables in outcomes(first, second, crash_after=crash_after):
        assert tables.alive() == [(NEW.key, 2, "new")]


@pytest.mark.parametrize("crash_after", [None, 1, 2, 3, 4, 5])
def test_a_zombie_on_the_same_partition_changes_nothing(crash_after: int | None) -> None:
    """A consumer that lost its partition and still writes its batch ends in the same state."""
    zombie, owner = [OLD], [OLD, NEW]
    for tables in outcomes(zombie, owner, crash_after=crash_after):
        assert tables.alive() == [(NEW.key, 2, "new")]


def test_the_second_look_is_needed_when_two_partitions_hold_an_id() -> None:
    """Without it some interleaving leaves two rows: this test would notice its loss."""
    alive = [
        tables.alive() for tables in outcomes([OLD], [NEW], crash_after=None, check_twice=False)
    ]
    assert any(len(rows) == 2 for rows in alive)
