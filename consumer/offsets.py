"""Where a partition goes on, and the clock that travels with it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from schemas.record import MAX_VERSION, VERSION_HEADER, LogRecord, next_version


class Position(NamedTuple):
    """The next offset to read of a partition, and the last version given to a record of it.

    The version is committed with the offset, so that a replay gives each record the version it
    had (ARCHITECTURE.md, "Resolving by event ID").
    """

    next_offset: int
    version: int

    def metadata(self) -> str:
        """Write what the offset commit can't hold itself."""
        return f"v={self.version}"

    @classmethod
    def from_commit(cls, next_offset: int, metadata: str) -> Position:
        """Read a commit. Raises ValueError for metadata that this consumer did not write."""
        name, _, version = metadata.partition("=")
        if name != "v" or not version.isdecimal():
            raise ValueError(f"the offset commit's metadata {metadata!r} is not v=VERSION")
        return cls(next_offset, int(version))


def position_of_commit(partition: int, next_offset: int, metadata: str) -> tuple[Position, str]:
    """Give where to go on after a commit, and what a person must hear of it ("": nothing).

    Kafka's tools, when they reset a group's offsets, leave no metadata. Then the clock begins
    anew: records that were stored before get the versions they had, or lower ones, which change
    nothing.
    """
    try:
        return Position.from_commit(next_offset, metadata), ""
    except ValueError as error:
        return Position(next_offset, 0), (
            f"partition {partition}: {error}: was it reset by hand? Its clock begins anew"
        )


class Versions:
    """Gives every record its version, in the order of its partition."""

    def __init__(self, positions: Mapping[int, Position]) -> None:
        self._positions = dict(positions)

    def stamp(self, record: LogRecord) -> int:
        """Give the record's version and step past it.

        A record that comes back from the dead letters keeps the version that it brings, and does
        not move the clock.
        """
        position = self._positions.get(record.partition)
        previous = 0 if position is None else position.version
        first = record.headers.get(VERSION_HEADER)
        # Python refuses to read thousands of digits, and whoever may append may write them.
        if first is not None and first.isdigit() and len(first) <= 40:
            self._positions[record.partition] = Position(record.offset + 1, previous)
            return min(int(first), MAX_VERSION)
        version = next_version(previous, record.append_ms)
        self._positions[record.partition] = Position(record.offset + 1, version)
        return version

    def position(self, partition: int) -> Position:
        """Where the partition stands after the records stamped so far."""
        return self._positions[partition]


def where_to_start(partition: int, wanted: Position, first: int, end: int) -> tuple[Position, str]:
    """Give where to go on, and what a person must hear of it ("": nothing).

    ``wanted`` is the commit; the log has offsets from ``first`` to before ``end``. What is read
    again gets the versions that it had, or lower ones: so its clock begins anew.
    """
    offset = wanted.next_offset
    if offset < first:
        return wanted._replace(next_offset=first), (
            f"offsets {offset} to {first - 1} of partition {partition} were deleted before they "
            f"were read: {first - offset} records are lost; raise the topic's retention "
            "(tally topics apply --retention-hours)"
        )
    if offset > end:
        return Position(first, 0), (
            f"the group has committed offset {offset} of partition {partition}, which ends at "
            f"{end}: the topic was made anew or lost records; it is read again from its beginning"
        )
    return wanted, ""
