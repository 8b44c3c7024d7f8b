"""The embedded dead-letter topic."""

from __future__ import annotations

from pathlib import Path

from consumer.dead_letter import DeadLetter
from deploy.embedded.log.dead_letters import SqliteDeadLetters
from deploy.embedded.log.files import DEAD_LETTERS_DB, open_reader
from deploy.embedded.log.layout import decode_headers
from schemas.record import LogRecord


async def test_a_letter_keeps_everything_of_its_record(tmp_path: Path) -> None:
    """Raw bytes, origin, version and reason are there for whoever looks; a replay adds nothing."""
    letters = SqliteDeadLetters(tmp_path)
    record = LogRecord(2, 17, 1234, b"t\0x", b"\xff{", {"h": b"1"})
    for _ in range(2):
        await letters.append([DeadLetter(record, 99, "the value can't be read")])
    letters.close()
    reader = open_reader(tmp_path, DEAD_LETTERS_DB)
    ((partition, offset, append_ms, version, reason, key, value, headers),) = reader.execute(
        "SELECT partition, record_offset, append_ms, version, reason, key, value, headers"
        " FROM dead_letters"
    ).fetchall()
    reader.close()
    kept = LogRecord(partition, offset, append_ms, key, value, decode_headers(headers))
    assert (kept, version, reason) == (record, 99, "the value can't be read")
