"""When keys were last used, as services tell it to Kafka."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from deploy.kafka_log.keys_feed import KafkaKeys
from deploy.topics.plan import Wanted
from deploy.topics.topics import apply
from ingest_gateway.keys_feed import KafkaKeysFeed as GatewaysFeed
from query_api.keys_feed import KafkaKeysFeed as QuerysFeed
from schemas.errors import ApiError
from schemas.kafka import KafkaSettings
from schemas.key_uses import encode_use, is_use
from schemas.keys import INGEST, KeyRing, NewKey, encode_key, make_key
from tests.support.kafka import Kafka


@pytest.fixture
async def settings(kafka: Kafka) -> KafkaSettings:
    made = KafkaSettings(
        bootstrap_servers=kafka.bootstrap_servers, topic_prefix=f"uses-{uuid.uuid4().hex[:8]}"
    )
    await apply(made, Wanted(partitions=1))
    return made


@pytest.fixture
async def made(settings: KafkaSettings) -> NewKey:
    key = make_key("acme", "")
    await KafkaKeys(settings).append(key.record)
    return key


class Service:
    """A ring, its feed, and a clock that the test moves."""

    def __init__(self, feed_type: Any, settings: KafkaSettings, **options: float) -> None:
        self.now_s = 1_700_000_000.0
        self.ring = KeyRing(is_complete=False, unix_time=lambda: self.now_s)
        self.feed = feed_type(settings, self.ring, **{"look_every_s": 0.02, **options})

    def use(self, made: NewKey) -> None:
        self.ring.caller_of({"x-api-key": made.api_key}, INGEST)

    def knows(self, made: NewKey) -> bool:
        try:
            self.use(made)
        except ApiError:
            return False
        return True


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (what another task does)
            await asyncio.sleep(0.02)


async def told(settings: KafkaSettings) -> list[bytes]:
    """Every use that was ever appended."""
    async with AIOKafkaConsumer(
        settings.keys_topic, **settings.client_options(), auto_offset_reset="earliest"
    ) as consumer:
        found = await consumer.getmany(timeout_ms=3_000)
        return [one.value for records in found.values() for one in records if is_use(one.key)]


async def test_two_services_tell_one_use_an_interval(settings: KafkaSettings, made: NewKey) -> None:
    """Gateway and query service hear each other's, and the command line reads the latest."""
    one, other = Service(GatewaysFeed, settings), Service(QuerysFeed, settings)
    await one.feed.open()
    await other.feed.open()
    start_s, key_id = one.now_s, made.record.key_id
    one.use(made)
    await until(lambda: not other.ring.uses.untold() and other.ring.uses.is_told(key_id, start_s))
    for second in range(1, 60):
        one.now_s = other.now_s = start_s + second
        one.use(made)
        other.use(made)
        await asyncio.sleep(0.01)
    assert len(await told(settings)) == 1
    other.now_s = start_s + 60
    other.use(made)
    await until(lambda: one.ring.uses.is_told(key_id, start_s + 60))
    assert await KafkaKeys(settings).last_uses() == {key_id: start_s + 60}
    assert await KafkaKeys(settings).read() == [made.record]
    await one.feed.close()
    await other.feed.close()
    assert len(await told(settings)) == 2


async def test_what_is_untold_is_told_at_the_end(settings: KafkaSettings, made: NewKey) -> None:
    """A key that was used just before its service stopped is no key that was never used."""
    service = Service(GatewaysFeed, settings, look_every_s=1000.0)
    await service.feed.open()
    service.use(made)
    await service.feed.close()
    assert await KafkaKeys(settings).last_uses() == {made.record.key_id: service.now_s}


async def test_a_service_that_starts_knows_what_was_told(
    settings: KafkaSettings, made: NewKey, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not tell it again, nor take it for a key that can't be read."""
    first = Service(GatewaysFeed, settings)
    await first.feed.open()
    first.use(made)
    await first.feed.close()
    with caplog.at_level(logging.INFO):
        second = Service(QuerysFeed, settings)
        await second.feed.open()
    second.now_s += 30
    second.use(made)
    assert second.ring.uses.untold() == {}
    assert "left out" not in caplog.text
    await second.feed.close()


async def test_the_latest_use_counts(settings: KafkaSettings, made: NewKey) -> None:
    """Two processes that wrote at once: whichever record stands last, the command line reads the
    later use; and one that nobody can read hides no key.
    """
    async with AIOKafkaProducer(**settings.client_options(), acks="all") as producer:
        for used_s in (2000.0, 1000.0):
            key, value = encode_use(made.record.key_id, used_s)
            await producer.send_and_wait(settings.keys_topic, value, key=key)
        await producer.send_and_wait(settings.keys_topic, b"{", key=b"used/broken")
    assert await KafkaKeys(settings).last_uses() == {made.record.key_id: 2000.0}
    assert await KafkaKeys(settings).read() == [made.record]


async def test_a_topic_that_takes_nothing_is_said_once(
    settings: KafkaSettings, made: NewKey, caplog: pytest.LogCaptureFixture
) -> None:
    """Keys are followed all the same, and the next use is told when it can be."""
    # A record of more bytes than the client takes is refused, as is one without a right to write.
    service = Service(GatewaysFeed, settings, uses_interval_s=0.05)
    await service.feed.open()
    key_id = made.record.key_id
    service.ring.uses.here["x" * 2_000_000] = service.now_s
    with caplog.at_level(logging.WARNING):
        await until(lambda: "last used can't be written" in caplog.text)
        await asyncio.sleep(0.5)  # ten more attempts
    assert caplog.text.count("last used can't be written") == 1
    del service.ring.uses.here["x" * 2_000_000]
    service.use(made)
    await until(lambda: service.ring.uses.is_told(key_id, service.now_s))
    async with AIOKafkaProducer(**settings.client_options(), acks="all") as producer:
        new = make_key("later", "")
        await producer.send_and_wait(
            settings.keys_topic, encode_key(new.record), key=new.record.key_id.encode()
        )
    await until(lambda: service.knows(new))
    await service.feed.close()
