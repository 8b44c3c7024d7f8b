"""Positions, and the clock that is committed with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.offsets import Position, Versions, position_of_commit, where_to_start
from schemas.record import VERSION_HEADER, LogRecord

pytestmark = pytest.mark.unit


def test_a_position_survives_its_commit() -> None:
    """Offset and metadata bring back the version."""
    position = Position(17, 2**60)
    assert Position.from_commit(17, position.metadata()) == position


@pytest.mark.parametrize("metadata", ["", "v=", "v=-1", "7", "w=7"])
def test_foreign_metadata_is_not_guessed_at(metadata: str) -> None:
    """Without its version a partition could give lower ones than before: refuse."""
    with pytest.raises(ValueError, match="metadata"):
        Position.from_commit(1, metadata)


records = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 10)), min_size=1).map(
    lambda rows: [
        LogRecord(partition, offset, append_ms, b"", b"", {})
        for offset, (partition, append_ms) in enumerate(rows)
    ]
)


@given(records, st.data())
def test_a_replay_from_any_commit_gives_the_same_versions(
    log: list[LogRecord], data: st.DataObject
) -> None:
    """Versions depend on the log and the commit only, also if the log's clock stands or jumps."""
    versions = Versions({})
    first: list[int] = []
    positions: list[dict[int, Position]] = [{}]
    for record in log:
        first.append(versions.stamp(record))
        positions.append({**positions[-1], record.partition: versions.position(record.partition)})
    start = data.draw(st.integers(0, len(log)))
    replay = Versions(positions[start])
    assert [replay.stamp(record) for record in log[start:]] == first[start:]


@given(records)
def test_a_replay_without_a_commit_gives_no_higher_version(log: list[LogRecord]) -> None:
    """Offsets that were reset by hand bring no version: nothing stored before is superseded."""
    versions, anew = Versions({}), Versions({})
    for index, record in enumerate(log):
        first = versions.stamp(record)
        if index >= len(log) // 2:
            assert anew.stamp(record) <= first


def test_a_returned_record_keeps_its_first_version() -> None:
    """It steps past the offset, and the clock of the partition stays where it was."""
    versions = Versions({0: Position(5, 1 << 40)})
    returned = LogRecord(0, 5, 1 << 30, b"", b"", {VERSION_HEADER: b"1234"})
    assert versions.stamp(returned) == 1234
    assert versions.position(0) == Position(6, 1 << 40)


@pytest.mark.parametrize("text", [b"", b"-1", b"1e3", b"new"])
def test_a_version_that_is_none_is_not_taken(text: bytes) -> None:
    """A header that nobody of ours wrote changes nothing."""
    record = LogRecord(0, 5, 7, b"", b"", {VERSION_HEADER: text})
    assert Versions({}).stamp(record) == 7 << 20


def test_a_version_beyond_the_column_is_cut() -> None:
    """The tables hold 64 bits."""
    record = LogRecord(0, 5, 7, b"", b"", {VERSION_HEADER: b"9" * 30})
    assert Versions({}).stamp(record) == 2**64 - 1


def test_offsets_reset_by_hand_begin_a_new_clock() -> None:
    """Kafka's tools leave no metadata: the offset counts, and a person hears of it."""
    position, complaint = position_of_commit(3, 17, "")
    assert position == Position(17, 0)
    assert "reset by hand" in complaint
    assert position_of_commit(3, 17, "v=5") == (Position(17, 5), "")


@pytest.mark.parametrize(
    ("wanted", "start", "complaint"),
    [
        (10, Position(10, 7), ""),
        (5, Position(5, 7), ""),
        (20, Position(20, 7), ""),
        (3, Position(5, 7), "3 to 4 of partition 7 were deleted before they were read: 2 records"),
        (21, Position(5, 0), "committed offset 21 of partition 7, which ends at 20"),
    ],
)
def test_where_a_commit_outside_of_the_log_goes_on(
    wanted: int, start: Position, complaint: str
) -> None:
    """At the log's beginning, never without a word, and what is read again with a clock anew: its
    records must not get higher versions than they had.
    """
    found, told = where_to_start(7, Position(wanted, 7), 5, 20)
    assert found == start
    assert complaint in told
    assert bool(complaint) == bool(told)
