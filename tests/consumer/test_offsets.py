"""Positions, and the clock that is committed with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.offsets import Position, Versions
from schemas.record import LogRecord

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
