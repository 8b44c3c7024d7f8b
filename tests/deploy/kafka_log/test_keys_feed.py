"""Keys in Kafka's compacted topic, as the command line writes and lists them."""

from __future__ import annotations

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.kafka_log.keys_feed import KafkaKeys
from deploy.key_rotation import revoke_key, rotate_key
from deploy.keys_topic import KeysUnavailable
from ingest_gateway.keys_feed import KafkaKeysFeed
from schemas.kafka import KafkaSettings
from schemas.keys import KeyRecord, KeyRing, encode_key, make_key, record_key
from tests.support.clickhouse import free_port


async def append(settings: KafkaSettings, key: bytes, value: bytes | None) -> None:
    """Append to the topic of keys whatever this is."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(settings.keys_topic, value, key=key)
    finally:
        await producer.stop()


async def test_the_last_record_of_a_key_counts(settings: KafkaSettings) -> None:
    """A key that is appended again is listed once, as it was last, in the order of appending."""
    keys = KafkaKeys(settings)
    assert await keys.read() == []
    first, second = make_key("acme", "first").record, make_key("acme", "second").record
    await keys.append(first)
    await keys.append(second)
    assert await keys.read() == [first, second]
    revoked = msgspec.structs.replace(first, revoked_at="2026-01-01T00:00:00Z")
    await keys.append(revoked)
    assert await keys.read() == [second, revoked]


async def test_a_revocation_stands_whatever_is_appended_after_it(settings: KafkaSettings) -> None:
    """Whoever did not know of it is told how the key stands; and the record of the revocation has a
    key of its own, so that compaction keeps it.
    """
    keys = KafkaKeys(settings)
    key = make_key("acme", "first").record
    revoked = msgspec.structs.replace(key, revoked_at="2026-01-01T00:00:00Z")
    expiring = msgspec.structs.replace(key, expires_at="2126-01-01T00:00:00Z")
    both = msgspec.structs.replace(expiring, revoked_at=revoked.revoked_at)
    await keys.append(key)
    assert await keys.append(revoked) == revoked
    assert await keys.append(expiring) == both
    assert await keys.read() == [both]
    assert record_key(revoked) != record_key(expiring) == key.key_id.encode()


async def test_a_rotation_during_which_the_key_is_revoked_leaves_nothing_open(
    settings: KafkaSettings,
) -> None:
    """Neither the old key nor the new one, which was shown by then."""
    keys, old = KafkaKeys(settings), make_key("acme", "")
    await keys.append(old.record)
    other = EndsBefore(settings, keys, old.record.key_id)
    with pytest.raises(ValueError, match="revoked meanwhile"):
        await rotate_key(other, old.record.key_id, 86_400.0, lambda _: None)
    assert [key.revoked_at is None for key in await keys.read()] == [False, False]


class EndsBefore(KafkaKeys):
    """The topic, where another command line revokes a key just before its retiring is appended."""

    def __init__(self, settings: KafkaSettings, other: KafkaKeys, key_id: str) -> None:
        super().__init__(settings)
        self._other, self._key_id = other, key_id

    async def append(self, record: KeyRecord) -> KeyRecord:
        if record.key_id == self._key_id:
            await revoke_key(self._other, self._key_id)
        return await super().append(record)


async def test_a_service_reads_what_was_appended(settings: KafkaSettings) -> None:
    """The gateway's feed takes in the record, and knows the key by its hash."""
    made = make_key("acme", "laptop")
    await KafkaKeys(settings).append(made.record)
    ring = KeyRing(is_complete=False)
    feed = KafkaKeysFeed(settings, ring)
    try:
        await feed.open()
        assert ring.caller_of({"x-api-key": made.api_key}, "ingest").tenant == "acme"
    finally:
        await feed.close()


async def test_what_is_no_key_is_left_out(settings: KafkaSettings) -> None:
    """A record that nobody can read, or that is deleted, does not hide the others."""
    keys = KafkaKeys(settings)
    kept, deleted = make_key("acme", "kept").record, make_key("acme", "deleted").record
    await append(settings, b"junk", b"{")
    await append(settings, deleted.key_id.encode(), encode_key(deleted))
    await keys.append(kept)
    await append(settings, deleted.key_id.encode(), None)
    assert await keys.read() == [kept]


async def test_no_key_is_made_where_it_would_be_lost(bare: KafkaSettings) -> None:
    """Without the topic, or with one that deletes, it is refused, and no topic is made."""
    record = make_key("acme", "lost").record
    with pytest.raises(KeysUnavailable, match="tally topics apply"):
        await KafkaKeys(bare).append(record)
    admin = AIOKafkaAdminClient(bootstrap_servers=bare.bootstrap_servers)
    await admin.start()
    try:
        assert bare.keys_topic not in await admin.list_topics()
        await admin.create_topics([NewTopic(bare.keys_topic, 1, 1)])
    finally:
        await admin.close()
    with pytest.raises(KeysUnavailable, match=r"cleanup\.policy is delete"):
        await KafkaKeys(bare).append(record)


async def test_a_broker_that_is_away_is_told() -> None:
    """The error names the setting and the address."""
    address = f"127.0.0.1:{free_port()}"
    keys = KafkaKeys(KafkaSettings(bootstrap_servers=address))
    with pytest.raises(KeysUnavailable, match=f"TALLY_KAFKA_BOOTSTRAP_SERVERS={address}"):
        await keys.read()
