"""From what Kafka's client gives to the records that the consumer works on. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from schemas.record import NO_APPEND_TIME, LogRecord

_LOG_APPEND_TIME: Final = 1  # the client's number for message.timestamp.type=LogAppendTime
_BITE_RECORDS: Final = 1_000
_BITE_BYTES: Final = 2 * 1024 * 1024
_MAX_HEADERS_KEPT: Final = 1_000
_MAX_BYTES_KEPT: Final = 1_000  # of one record; more is no name or ID that others share


class Reader:
    """Makes records, and knows for each partition which offset should come next."""

    def __init__(self) -> None:
        self._next_offsets: dict[int, int] = {}
        # Records of one request, and most of one sender, share their headers.
        self._headers: dict[tuple[Any, ...], Mapping[str, bytes]] = {}

    def expect(self, partition: int, next_offset: int) -> int:
        """Say which offset of a partition comes next, and give the one that was expected so far
        (the new one, if none was).
        """
        expected = self._next_offsets.get(partition, next_offset)
        self._next_offsets[partition] = next_offset
        return expected

    def expected(self) -> Mapping[int, int]:
        """Give the offset that comes next in each partition."""
        return dict(self._next_offsets)

    def read(self, fetched: Sequence[Any]) -> list[LogRecord]:
        """Make records of aiokafka's. One whose timestamp is its producer's has no append time."""
        return [
            LogRecord(
                one.partition,
                one.offset,
                one.timestamp if one.timestamp_type == _LOG_APPEND_TIME else NO_APPEND_TIME,
                one.key or b"",
                one.value or b"",
                self._headers_of(one.headers),
            )
            for one in fetched
        ]

    def _headers_of(self, pairs: tuple[Any, ...]) -> Mapping[str, bytes]:
        headers = self._headers.get(pairs)
        if headers is None:
            headers = {name: value or b"" for name, value in pairs}
            if sum(map(len, headers.values())) > _MAX_BYTES_KEPT:
                return headers
            if len(self._headers) >= _MAX_HEADERS_KEPT:
                self._headers.clear()
            self._headers[pairs] = headers
        return headers


class Fetched:
    """Records that Kafka's client gave and that `Source.fetch` has not given yet.

    The client knows no limit in bytes, and what it gave once it never gives again.
    """

    def __init__(self) -> None:
        self._records: list[LogRecord] = []
        self._size_bytes = 0
        self._mean_bytes = 1

    def bite(self, max_records: int) -> int:
        """Give how many records to ask for next, so that what comes is no more than a few MiB if
        it is like what came last.
        """
        return max(1, min(_BITE_RECORDS, _BITE_BYTES // self._mean_bytes, max_records))

    def __len__(self) -> int:
        return len(self._records)

    def add(self, records: list[LogRecord]) -> None:
        """Take in what came next."""
        size_bytes = sum(len(record.value) for record in records)
        self._records += records
        self._size_bytes += size_bytes
        self._mean_bytes = max(1, size_bytes // max(1, len(records)))

    def reaches(self, max_records: int, max_bytes: int) -> bool:
        """Whether `take` with these limits would not give more if more came."""
        return len(self._records) >= max_records or self._size_bytes >= max_bytes

    def take(self, max_records: int, max_bytes: int) -> list[LogRecord]:
        """Give the first ones within the limits, and one at least if there is any."""
        count = size_bytes = 0
        for record in self._records[:max_records]:
            if count and size_bytes + len(record.value) > max_bytes:
                break
            count += 1
            size_bytes += len(record.value)
        taken, self._records = self._records[:count], self._records[count:]
        self._size_bytes -= size_bytes
        return taken
