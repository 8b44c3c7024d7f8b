"""Dead letters: records that could not be stored, as their topic holds them.

A letter keeps the record's value as the topic's value, byte for byte, so that any tool shows what
came; everything else is in headers. It is keyed by its origin: a letter written twice is one, and
the compacted topic forgets it when a tombstone (no value) follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from schemas.record import ATTEMPTS_HEADER, VERSION_HEADER, LogRecord, Record

MAX_REASON_CHARS: Final = 2000  # ClickHouse's own words can be long
_MAX_ATTEMPTS_DIGITS: Final = 9

_KEY: Final = "tally-dead-key"
_APPEND_MS: Final = "tally-dead-append-ms"
_VERSION: Final = "tally-dead-version"
_REASON: Final = "tally-dead-reason"
_ATTEMPTS: Final = "tally-dead-attempts"
_OURS: Final = (_KEY, _APPEND_MS, _VERSION, _REASON, _ATTEMPTS)


class DeadLetter(NamedTuple):
    """A record as it came, the version it had, why it is here, and how often it was tried.

    ``topic`` is where it came from.
    """

    topic: str
    record: LogRecord
    version: int
    reason: str
    attempts: int

    @property
    def origin(self) -> str:
        """What it is called: ``topic/partition/offset``."""
        return f"{self.topic}/{self.record.partition}/{self.record.offset}"

    @property
    def tenant(self) -> str:
        """Whose it is, as its key says."""
        return self.record.key.partition(b"\0")[0].decode(errors="replace")

    @property
    def event_id(self) -> str:
        """Which event it is, as its key says."""
        return self.record.key.partition(b"\0")[2].decode(errors="replace")


def attempts_before(record: LogRecord) -> int:
    """How often a record was put aside before; 0 for one that comes for the first time."""
    text = record.headers.get(ATTEMPTS_HEADER, b"0")
    # Whoever may append may write anything there, and Python refuses to read thousands of digits.
    return int(text) if text.isdigit() and len(text) <= _MAX_ATTEMPTS_DIGITS else 0


def storable(reason: str) -> str:
    """Cut a reason to what a log keeps of it, and replace what is no Unicode."""
    return reason[:MAX_REASON_CHARS].encode(errors="replace").decode()


def encode_letter(letter: DeadLetter) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Give key, value and headers of a letter's record."""
    record = letter.record
    headers = [(name, value) for name, value in record.headers.items() if name not in _OURS]
    headers += [
        (_KEY, record.key),
        (_APPEND_MS, b"%d" % record.append_ms),
        (_VERSION, b"%d" % letter.version),
        (_REASON, storable(letter.reason).encode()),
        (_ATTEMPTS, b"%d" % letter.attempts),
    ]
    return letter.origin.encode(), record.value, headers


def decode_letter(
    key: bytes, value: bytes, headers: Sequence[tuple[str, bytes | None]]
) -> DeadLetter:
    """Read what `encode_letter` wrote. Raises ValueError for a record that is no letter."""
    found = {name: text or b"" for name, text in headers}
    try:
        topic, partition, offset = key.decode().rsplit("/", 2)
        record = LogRecord(
            partition=int(partition),
            offset=int(offset),
            append_ms=int(found[_APPEND_MS]),
            key=found[_KEY],
            value=value,
            headers={name: text for name, text in found.items() if name not in _OURS},
        )
        reason = found[_REASON].decode()
        return DeadLetter(topic, record, int(found[_VERSION]), reason, int(found[_ATTEMPTS]))
    except (KeyError, ValueError) as error:
        raise ValueError(f"the record {key!r} is no dead letter: {error}") from None


def returning(letter: DeadLetter) -> Record:
    """Make the record that brings a letter back into the log: under its first version, so that it
    supersedes nothing that was sent after it.
    """
    headers: Mapping[str, bytes] = {
        **letter.record.headers,
        VERSION_HEADER: b"%d" % letter.version,
        ATTEMPTS_HEADER: b"%d" % letter.attempts,
    }
    return Record(letter.record.key, letter.record.value, headers)
