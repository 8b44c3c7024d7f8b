"""What every `EventLog` does, the embedded one and Kafka alike."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from deploy.embedded.log.events import SqliteEventLog
from deploy.embedded.log.source import SqliteSource
from ingest_gateway.errors import NotStored, OutcomeUnknown
from ingest_gateway.log import EventLog, KafkaEventLog
from schemas.record import FORMAT, FORMAT_HEADER, Record
from tests.support.kafka import Kafka
from tests.support.topics import new_topics, read_topic

HEADERS = {FORMAT_HEADER: FORMAT}
TIMEOUT_S = 30.0  # for a machine that is busy with other tests


class Stored(NamedTuple):
    """A record as the log gives it back."""

    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: dict[str, bytes]


class Closable(EventLog, Protocol):
    async def close(self) -> object: ...


class Opened(NamedTuple):
    """A log, and how everything in it is read, by partition and offset."""

    log: Closable
    read: Callable[[], Awaitable[list[Stored]]]


@pytest.fixture(params=["embedded", "kafka"])
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opened]:
    if request.param == "embedded":
        embedded = SqliteEventLog(tmp_path)
        yield Opened(embedded, lambda: read_embedded(tmp_path))
        await embedded.close()
        return
    running: Kafka = request.getfixturevalue("kafka")
    settings = await new_topics(running.bootstrap_servers)

    async def read() -> list[Stored]:
        return [
            Stored(one.partition, one.offset, one.key, one.value, dict(one.headers))
            for one in await read_topic(settings)
        ]

    log = KafkaEventLog(settings)
    await log.open()
    yield Opened(log, read)
    await log.close()


async def read_embedded(directory: Path) -> list[Stored]:
    source = SqliteSource(directory)
    await source.open()
    try:
        found = await source.fetch(max_records=1_000_000, max_bytes=1 << 30, timeout_s=0.05)
    finally:
        await source.close()
    return sorted(
        Stored(one.partition, one.offset, one.key, one.value, dict(one.headers)) for one in found
    )


def record(key: str, number: int, size_bytes: int = 0) -> Record:
    """A record whose value begins with its number; what fills it can hardly be compressed."""
    filling = random.Random(number).randbytes(size_bytes // 2).hex()
    return Record(f"t\0{key}".encode(), b"%d %b" % (number, filling.encode()), HEADERS)


def numbers(found: list[Stored]) -> list[int]:
    return [int(one.value.split()[0]) for one in found]


async def test_what_was_appended_comes_back(opened: Opened) -> None:
    """Key, value and headers are the bytes they were, whatever bytes those are."""
    odd = Record('t\0é\N{ROCKET}"\n'.encode(), b'{"a":"\\u0000"}', {**HEADERS, "x": b"\xff\0"})
    await opened.log.append([odd], timeout_s=TIMEOUT_S)
    (found,) = await opened.read()
    assert (found.key, found.value, found.headers) == odd


async def test_an_append_is_in_the_log_when_it_returns(opened: Opened) -> None:
    """Whoever reads after an append was confirmed finds it, every time."""
    for number in range(5):
        await opened.log.append([record(str(number), number)], timeout_s=TIMEOUT_S)
        assert sorted(numbers(await opened.read())) == list(range(number + 1))


async def test_records_of_a_key_keep_their_order(opened: Opened) -> None:
    """Within one append and over many, in one partition, at offsets without gaps."""
    for start in range(0, 60, 20):
        some = [record(f"k{number % 3}", number) for number in range(start, start + 20)]
        await opened.log.append(some, timeout_s=TIMEOUT_S)
    found = await opened.read()
    for key in (b"t\0k0", b"t\0k1", b"t\0k2"):
        of_key = [one for one in found if one.key == key]
        assert numbers(of_key) == [n for n in range(60) if n % 3 == int(key[-1:])]
        assert len({one.partition for one in of_key}) == 1
    for partition in {one.partition for one in found}:
        offsets = [one.offset for one in found if one.partition == partition]
        assert offsets == list(range(len(offsets)))


async def test_many_appends_at_once_all_land_once(opened: Opened) -> None:
    """None is lost, none doubled, and each sender's own order stands."""

    async def sender(name: int) -> None:
        for number in range(10):
            some = [record(f"s{name}", number), record(f"other{name}", number)]
            await opened.log.append(some, timeout_s=TIMEOUT_S)

    await asyncio.gather(*(sender(name) for name in range(100)))
    found = await opened.read()
    assert len(found) == 2000
    for name in range(100):
        key = f"t\0s{name}".encode()
        assert numbers([one for one in found if one.key == key]) == list(range(10))


async def test_a_bulk_larger_than_any_batch_lands_whole(opened: Opened) -> None:
    """10,000 events of 2 kB: all of them, once, each key's in order."""
    bulk = [record(f"k{number % 500}", number, 2_000) for number in range(10_000)]
    await opened.log.append(bulk, timeout_s=2 * TIMEOUT_S)
    found = await opened.read()
    assert sorted(numbers(found)) == list(range(10_000))
    by_key: dict[bytes, int] = {}
    for one, number in zip(found, numbers(found), strict=True):
        assert by_key.get(one.key, -1) < number
        by_key[one.key] = number


async def test_a_sender_that_goes_away_harms_nobody(opened: Opened) -> None:
    """A cancelled append is there once or not at all; those beside it and after it are there."""
    staying = [
        asyncio.create_task(opened.log.append([record(f"s{n}", n)], timeout_s=TIMEOUT_S))
        for n in range(20)
    ]
    leaving = [
        asyncio.create_task(opened.log.append([record(f"l{n}", n)], timeout_s=TIMEOUT_S))
        for n in range(100, 120)
    ]
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    gone = await asyncio.gather(*leaving, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in gone)
    await asyncio.gather(*staying)
    await opened.log.append([record("after", 999)], timeout_s=TIMEOUT_S)
    found = numbers(await opened.read())
    assert len(found) == len(set(found))
    assert {*range(20), 999} <= set(found) <= {*range(20), *range(100, 120), 999}


async def test_no_time_at_all_is_told_in_time(opened: Opened) -> None:
    """A time-out says which of the two it is, and "not stored" is true."""
    outcomes = await asyncio.gather(
        *(opened.log.append([record(f"k{n}", n)], timeout_s=0) for n in range(50)),
        return_exceptions=True,
    )
    assert all(one is None or isinstance(one, (NotStored, OutcomeUnknown)) for one in outcomes)
    await opened.log.append([record("after", 999)], timeout_s=TIMEOUT_S)
    found = numbers(await opened.read())
    assert len(found) == len(set(found))
    for number, outcome in enumerate(outcomes):
        if outcome is None:
            assert number in found
        elif isinstance(outcome, NotStored):
            assert number not in found


async def test_a_log_that_works_has_no_trouble(opened: Opened) -> None:
    """What /readyz asks is answered with None."""
    assert opened.log.trouble() is None
    await opened.log.append([record("k", 1)], timeout_s=TIMEOUT_S)
    assert opened.log.trouble() is None


async def test_close_waits_for_what_is_under_way_and_may_be_repeated(opened: Opened) -> None:
    """Appends that were begun before the close are confirmed and there."""
    waiting = [
        asyncio.create_task(opened.log.append([record(f"k{n}", n)], timeout_s=TIMEOUT_S))
        for n in range(50)
    ]
    await asyncio.sleep(0)
    await opened.log.close()
    await opened.log.close()
    await asyncio.gather(*waiting)
    assert sorted(numbers(await opened.read())) == list(range(50))
