"""API keys out of Kafka, for the gateway and for the query service alike."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from deploy.topics.plan import Wanted
from deploy.topics.topics import apply
from ingest_gateway.keys_feed import KafkaKeysFeed as GatewaysFeed
from query_api.keys_feed import KafkaKeysFeed as QuerysFeed
from schemas.errors import ApiError
from schemas.kafka import KafkaSettings
from schemas.keys import (
    INGEST,
    KeyRecord,
    KeyRing,
    KeysUnreachable,
    NewKey,
    encode_key,
    make_key,
    record_key,
)
from tests.support.clickhouse import free_port
from tests.support.kafka import Kafka


@pytest.fixture
async def settings(kafka: Kafka) -> KafkaSettings:
    made = KafkaSettings(
        bootstrap_servers=kafka.bootstrap_servers, topic_prefix=f"keys-{uuid.uuid4().hex[:8]}"
    )
    await apply(made, Wanted(partitions=1))
    return made


@pytest.fixture
async def topic(settings: KafkaSettings) -> AsyncIterator[Callable[[KeyRecord], Any]]:
    """Appends a record of a key."""
    async with AIOKafkaProducer(**settings.client_options(), acks="all") as producer:

        async def append(record: KeyRecord | bytes, name: bytes = b"broken") -> None:
            is_key = isinstance(record, KeyRecord)
            value = encode_key(record) if is_key else record
            name = record_key(record) if is_key else name
            await producer.send_and_wait(settings.keys_topic, value, key=name)

        yield append


@pytest.fixture(params=[GatewaysFeed, QuerysFeed], ids=["gateway", "query"])
def feed_type(request: pytest.FixtureRequest) -> Any:
    return request.param


def tenant(ring: KeyRing, made: NewKey) -> str | int:
    """Whose key it is, or the status of the refusal."""
    try:
        return ring.caller_of({"x-api-key": made.api_key}, INGEST).tenant
    except ApiError as error:
        return error.status


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (what another task does)
            await asyncio.sleep(0.02)


async def test_every_key_is_known_before_the_first_request(
    settings: KafkaSettings, topic: Any, feed_type: Any
) -> None:
    """A key that may still come is a 503, not a 401; opened, all keys are there."""
    made = [make_key(f"tenant-{number}", "") for number in range(30)]
    for one in made:
        await topic(one.record)
    ring = KeyRing(is_complete=False)
    assert tenant(ring, made[0]) == 503
    feed = feed_type(settings, ring)
    await feed.open()
    assert [tenant(ring, one) for one in made] == [one.record.tenant for one in made]
    assert tenant(ring, make_key("nobody", "")) == 401
    await feed.close()


async def test_a_key_made_or_revoked_counts_within_seconds(
    settings: KafkaSettings, topic: Any, feed_type: Any
) -> None:
    """Nobody has to start anything again."""
    ring = KeyRing(is_complete=False)
    feed = feed_type(settings, ring)
    await feed.open()
    made = make_key("acme", "")
    await topic(made.record)
    await until(lambda: tenant(ring, made) == "acme")
    await topic(msgspec.structs.replace(made.record, revoked_at="2026-01-01T00:00:00Z"))
    await until(lambda: tenant(ring, made) == 401)
    await feed.close()


@pytest.mark.parametrize("in_order", [True, False])
async def test_no_later_record_takes_a_revocation_back(
    settings: KafkaSettings, topic: Any, feed_type: Any, in_order: bool
) -> None:
    """Neither for a service that follows nor for one that starts later, in whichever order a
    revocation and what somebody wrote who did not know of it come.
    """
    made = make_key("acme", "")
    records = [
        msgspec.structs.replace(made.record, revoked_at="2026-01-01T00:00:00Z"),
        msgspec.structs.replace(made.record, expires_at="2126-01-01T00:00:00Z"),
    ]
    await topic(made.record)
    rings = [KeyRing(is_complete=False) for _ in range(2)]
    feeds = [feed_type(settings, ring) for ring in rings]
    await feeds[0].open()
    assert tenant(rings[0], made) == "acme"
    for record in records if in_order else reversed(records):
        await topic(record)
    last = make_key("last", "")
    await topic(last.record)
    await until(lambda: tenant(rings[0], last) == "last")
    await feeds[1].open()
    assert [tenant(ring, made) for ring in rings] == [401, 401]
    for feed in feeds:
        await feed.close()


async def test_a_record_that_nobody_can_read_hurts_no_other(
    settings: KafkaSettings, topic: Any, feed_type: Any
) -> None:
    """It is left out with a line in the log; the keys around it count."""
    first, second = make_key("first", ""), make_key("second", "")
    await topic(first.record)
    await topic(b'{"key_id": 7}')
    await topic(b'{"key_id": "k", "used_at": "0001-01-01T00:00:00+05:00"}', b"used/k")
    await topic(second.record)
    ring = KeyRing(is_complete=False)
    feed = feed_type(settings, ring)
    await feed.open()
    assert (tenant(ring, first), tenant(ring, second)) == ("first", "second")
    await feed.close()


async def test_an_unreachable_kafka_is_told_and_can_be_tried_again(feed_type: Any) -> None:
    """The error names the setting; the ring stays incomplete."""
    ring = KeyRing(is_complete=False)
    nowhere = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
    feed = feed_type(nowhere, ring)
    for _ in range(2):
        with pytest.raises(KeysUnreachable, match="TALLY_KAFKA_BOOTSTRAP_SERVERS"):
            await feed.open()
    assert not ring.is_complete
    await feed.close()
