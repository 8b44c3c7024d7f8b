"""What the gateway's log does when its Kafka freezes, dies, refuses or is set up wrongly."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from ingest_gateway.errors import BadTopic, NotStored, OutcomeUnknown, TooLarge, Unreachable
from ingest_gateway.log import KafkaEventLog
from ingest_gateway.settings import Settings
from schemas.kafka import KafkaSettings
from schemas.record import Record
from tests.ingest_gateway.conftest import serving
from tests.support.clickhouse import free_port
from tests.support.kafka import Broker
from tests.support.topics import configure, new_topics, read_topic

TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("kafka") / "broker") as started:
        yield started


@pytest.fixture
async def settings(broker: Broker) -> KafkaSettings:
    """Topics with one partition for the events, so that all of them share a way."""
    return await new_topics(broker.bootstrap_servers, partitions=1)


@asynccontextmanager
async def opened(settings: KafkaSettings) -> AsyncIterator[KafkaEventLog]:
    log = KafkaEventLog(settings)
    await log.open()
    try:
        yield log
    finally:
        await log.close(timeout_s=TIMEOUT_S)


def record(name: str, size_bytes: int = 0) -> Record:
    return Record(f"t\0{name}".encode(), random.Random(name).randbytes(size_bytes), {})


async def names(settings: KafkaSettings) -> list[str]:
    return [one.key.decode().removeprefix("t\0") for one in await read_topic(settings)]


async def until(condition: Callable[[], object], within_s: float = TIMEOUT_S) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)


async def test_a_frozen_broker_tells_unknown_from_not_stored(
    broker: Broker, settings: KafkaSettings
) -> None:
    """What was handed over is unknown and lands once when the broker goes on; what waited behind
    it, and what came later, is not stored and never lands; every answer comes in time.
    """
    async with opened(settings) as log:
        await log.append([record("before")], timeout_s=TIMEOUT_S)
        broker.freeze()
        try:
            started = time.monotonic()
            handed = asyncio.create_task(log.append([record("handed")], timeout_s=1))
            await asyncio.sleep(0.2)
            waiting = asyncio.create_task(log.append([record("waiting")], timeout_s=1))
            outcomes = await asyncio.gather(handed, waiting, return_exceptions=True)
            assert time.monotonic() - started < 3
            assert isinstance(outcomes[0], OutcomeUnknown)
            assert isinstance(outcomes[1], NotStored)
            # By now nobody need wait to hear that it is useless.
            with pytest.raises(NotStored, match=r"has not confirmed a batch for \d+ s"):
                await log.append([record("late")], timeout_s=0.5)
            await until(log.trouble)
            assert settings.bootstrap_servers in str(log.trouble()) or "confirmed" in str(
                log.trouble()
            )
        finally:
            broker.thaw()
        await until(lambda: log.trouble() is None)
        await log.append([record("after")], timeout_s=TIMEOUT_S)
    assert await names(settings) == ["before", "handed", "after"]


async def test_a_sender_that_leaves_a_frozen_broker_takes_its_records_back(
    broker: Broker, settings: KafkaSettings
) -> None:
    """A cancelled append that waited behind another never lands."""
    async with opened(settings) as log:
        broker.freeze()
        try:
            handed = asyncio.create_task(log.append([record("handed")], timeout_s=TIMEOUT_S))
            await asyncio.sleep(0.2)
            leaving = asyncio.create_task(log.append([record("leaving")], timeout_s=TIMEOUT_S))
            await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.wait((leaving,))
        finally:
            broker.thaw()
        await handed
        await log.append([record("after")], timeout_s=TIMEOUT_S)
    assert await names(settings) == ["handed", "after"]


async def test_close_gives_up_on_a_frozen_broker(broker: Broker, settings: KafkaSettings) -> None:
    """It waits as long as it was told and says how many records are unknown; where the process
    goes on, they land once, and nothing of the connection is left.
    """
    log = KafkaEventLog(settings)
    await log.open()
    before = asyncio.all_tasks()
    broker.freeze()
    try:
        some = [record("a"), record("b"), record("c")]
        append = asyncio.create_task(log.append(some, timeout_s=TIMEOUT_S))
        await asyncio.sleep(0.2)
        async with asyncio.timeout(10):
            assert await log.close(timeout_s=1) == 3
            await log.close(timeout_s=1)
    finally:
        broker.thaw()
    await append
    await until(lambda: asyncio.all_tasks() <= before)
    assert await names(settings) == ["a", "b", "c"]


async def test_a_killed_broker_comes_back_and_the_log_goes_on(
    broker: Broker, settings: KafkaSettings
) -> None:
    """Nothing confirmed is lost, nothing lands twice, nobody has to do anything."""
    async with opened(settings) as log:
        confirmed, unknown = [], []

        async def sender() -> None:
            for number in range(10_000):
                name = f"e{number}"
                try:
                    await log.append([record(name)], timeout_s=1)
                    confirmed.append(name)
                except OutcomeUnknown:
                    unknown.append(name)
                except NotStored:
                    await asyncio.sleep(0.05)

        sending = asyncio.create_task(sender())
        await until(lambda: len(confirmed) > 50)
        broker.kill()
        await until(log.trouble)
        broker.start()
        before = len(confirmed)
        await until(lambda: len(confirmed) > before + 50)
        sending.cancel()
        await asyncio.wait((sending,))
    found = await names(settings)
    assert len(found) == len(set(found))
    assert set(confirmed) <= set(found)
    # The one that was on its way when the sending stopped may be there too.
    assert len(set(found) - set(confirmed) - set(unknown)) <= 1


async def test_a_topic_that_takes_no_batch_is_told_and_mended(
    broker: Broker, settings: KafkaSettings
) -> None:
    """With max.message.bytes lowered an append is refused, never confirmed; once it is raised the
    log goes on by itself.
    """
    async with opened(settings) as log:
        await log.append([record("before", 5_000)], timeout_s=TIMEOUT_S)
        await configure(settings, max_message_bytes="2000")
        with pytest.raises(TooLarge, match=r"max\.message\.bytes is too small"):
            await log.append([record("large", 5_000)], timeout_s=TIMEOUT_S)
        await until(lambda: "max.message.bytes" in str(log.trouble()))
        with pytest.raises(NotStored, match=r"max\.message\.bytes"):
            await log.append([record("small")], timeout_s=TIMEOUT_S)
        await configure(settings, max_message_bytes="1048588")
        await until(lambda: log.trouble() is None)
        await log.append([record("after", 5_000)], timeout_s=TIMEOUT_S)
    assert await names(settings) == ["before", "after"]


async def test_a_sender_hears_of_a_topic_that_takes_no_batch(settings: KafkaSettings) -> None:
    """Over HTTP that is a 413 that names the setting, then a 503 "not stored", never a 202; and
    a 202 again once it is mended.
    """
    event = {"event_name": "n", "external_customer_id": "c", "event_id": "x"}
    large = {**event, "properties": {"filling": random.Random(1).randbytes(5_000).hex()}}
    async with opened(settings) as log, serving(log, Settings(append_timeout_s=20)) as session:
        await configure(settings, max_message_bytes="2000")
        async with session.post("/v1/events", json=large) as answer:
            assert answer.status == 413
            assert "max.message.bytes" in (await answer.json())["message"]
        async with session.post("/v1/events", json=event) as answer:
            assert answer.status == 503
            assert (await answer.json())["details"]["outcome"] == "not_stored"
        await configure(settings, max_message_bytes="1048588")
        await until(lambda: log.trouble() is None)
        async with session.post("/v1/events", json=large) as answer:
            assert answer.status == 202
    assert len(await names(settings)) == 1


async def test_a_record_that_no_batch_holds_is_refused(settings: KafkaSettings) -> None:
    """It is too large, at once, and those beside it are not stored either."""
    async with opened(settings) as log:
        with pytest.raises(TooLarge, match="1000006 bytes"):
            await log.append([record("a"), record("huge", 1_000_000)], timeout_s=TIMEOUT_S)
    assert await names(settings) == []


async def test_more_partitions_are_found_while_it_runs(settings: KafkaSettings) -> None:
    """A topic that grew gets records in its new partitions without a restart."""
    from deploy.topics.plan import Wanted
    from deploy.topics.topics import apply

    async with opened(settings) as log:
        await log.append([record(f"a{n}") for n in range(50)], timeout_s=TIMEOUT_S)
        await apply(settings, Wanted(partitions=3))
        async with asyncio.timeout(TIMEOUT_S):
            while len(log._lanes) < 3:
                await log.append([record("b")], timeout_s=TIMEOUT_S)
                await asyncio.sleep(0.2)
        await log.append([record(f"c{n}") for n in range(50)], timeout_s=TIMEOUT_S)
    found = await read_topic(settings)
    assert {one.partition for one in found if one.key.startswith(b"t\0c")} == {0, 1, 2}


async def test_a_topic_with_the_producers_time_is_refused(settings: KafkaSettings) -> None:
    """It does not open, and the text names the setting and what mends it."""
    await configure(settings, message_timestamp_type="CreateTime")
    log = KafkaEventLog(settings)
    with pytest.raises(BadTopic, match=r"message\.timestamp\.type is CreateTime.*topics apply"):
        await log.open()
    await log.close()


async def test_nobody_at_the_address_is_unreachable() -> None:
    """The text names the setting and the address, and appending meanwhile is not stored."""
    address = f"127.0.0.1:{free_port()}"
    log = KafkaEventLog(KafkaSettings(bootstrap_servers=address))
    with pytest.raises(Unreachable, match=f"TALLY_KAFKA_BOOTSTRAP_SERVERS={address}"):
        await log.open()
    with pytest.raises(NotStored):
        await log.append([record("a")], timeout_s=1)
    assert await log.close() == 0
