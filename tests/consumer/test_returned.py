"""Records that come back from the dead letters, through a consumer over the embedded log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumer.settings import Settings
from deploy.embedded.log.dead_letters import SqliteDeadLetters, find_letters, return_letters
from deploy.embedded.log.events import SqliteEventLog
from deploy.embedded.log.groups import read_commits
from deploy.embedded.log.layout import RETURNED_PARTITION
from schemas.clickhouse import ClickHouseSettings
from schemas.dead_letters import DeadLetter
from schemas.record import VERSION_HEADER, LogRecord, Record
from tests.consumer.conftest import consuming, wait_until_stored
from tests.consumer.events import HEADERS, read, record, row
from tests.support.clickhouse import ClickHouse


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteEventLog]:
    opened = SqliteEventLog(tmp_path)
    yield opened
    await opened.close()


def letter(appended: Record, offset: int, version: int) -> DeadLetter:
    one = LogRecord(0, offset, 1, appended.key, appended.value, appended.headers)
    return DeadLetter("tally.events", one, version, "because", 1)


async def send_back(directory: Path, letters: list[DeadLetter]) -> None:
    """Have these letters, and return them."""
    box = SqliteDeadLetters(directory)
    await box.append(letters)
    box.close()
    assert return_letters(directory, letters) == len(letters)


async def wait_until_taken(directory: Path, count: int) -> None:
    """Wait until the consumer has committed so many returned records."""
    async with asyncio.timeout(30):
        while True:
            commit = read_commits(directory).get(RETURNED_PARTITION)
            if commit and commit.next_offset > count:
                return
            await asyncio.sleep(0.02)


async def test_a_returned_record_supersedes_only_what_was_sent_before_it(
    log: SqliteEventLog, tmp_path: Path, engine: ClickHouse
) -> None:
    """Its version says when that was, whenever it comes back."""
    settings = Settings(clickhouse=ClickHouseSettings(url=engine.url), max_batch_age_ms=20)
    sent = [row("older", n=1), row("newer", n=2, minutes=200)]
    await log.append([record("returned", one) for one in sent], timeout_s=5)
    back = [row("older", name="back", n=3, minutes=90), row("newer", name="back", n=4)]
    newest = 2**62
    await send_back(
        tmp_path,
        [
            letter(record("returned", back[0]), 100, newest),
            letter(record("returned", back[1]), 101, 1),
            letter(record("returned", row("alone")), 102, 2),
        ],
    )
    async with consuming(tmp_path, settings):
        await wait_until_stored(tmp_path)
        await wait_until_taken(tmp_path, 3)
    assert read(engine.url, "returned") == sorted([back[0], sent[1], row("alone")])


async def test_returned_letters_that_fail_again_stop_nobody(
    log: SqliteEventLog, tmp_path: Path, engine: ClickHouse
) -> None:
    """Whoever sends many back too early gets them back as letters, with one attempt more; the
    limits are for what comes for the first time.
    """
    settings = Settings(
        clickhouse=ClickHouseSettings(url=engine.url),
        max_batch_age_ms=20,
        max_dead_letter_run=3,
        max_dead_letter_ratio=0.0,
    )
    unreadable = [Record(b"again\0%d" % n, b"{", HEADERS) for n in range(20)]
    late = row("x").timestamp.encode()
    refused = [
        one._replace(value=one.value.replace(late, late[:13] + b":never"))
        for one in (record("again", row(f"refused-{n}")) for n in range(20))
    ]
    await send_back(
        tmp_path, [letter(one, n, n + 1) for n, one in enumerate([*unreadable, *refused])]
    )
    async with consuming(tmp_path, settings):
        await log.append([record("again", row("good"))], timeout_s=5)
        await wait_until_taken(tmp_path, 40)
        await wait_until_stored(tmp_path)
    found = find_letters(tmp_path, lambda _: True)
    assert len(found) == 40
    assert {one.attempts for one in found} == {2}
    assert {one.record.partition for one in found} == {RETURNED_PARTITION}
    assert read(engine.url, "again") == [row("good")]


async def test_a_version_that_nobody_of_ours_wrote_stops_nobody(
    log: SqliteEventLog, tmp_path: Path, engine: ClickHouse
) -> None:
    """Whoever may append may write any header; such a record counts as sent when it was."""
    settings = Settings(clickhouse=ClickHouseSettings(url=engine.url), max_batch_age_ms=20)
    odd = [b"9" * 5000, b"", b"-1", b"x"]
    await log.append(
        [
            record("forged", row(str(n)))._replace(headers={**HEADERS, VERSION_HEADER: text})
            for n, text in enumerate(odd)
        ],
        timeout_s=5,
    )
    async with consuming(tmp_path, settings):
        await wait_until_stored(tmp_path)
    assert len(read(engine.url, "forged")) == len(odd)
