"""What the consumer does when the group gives and takes partitions at awkward moments."""

from __future__ import annotations

import asyncio

from consumer.kafka.settings import GroupSettings
from consumer.kafka.source import KafkaSource
from schemas.kafka import KafkaSettings
from tests.support.clickhouse import free_port


def unconnected() -> KafkaSource:
    """A source whose Kafka is nowhere."""
    return KafkaSource(KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}"), GroupSettings())


async def test_partitions_that_are_taken_back_at_once_are_let_go() -> None:
    """The group does not wait for a consumer that has not begun to read them."""
    source = unconnected()
    await source.on_partitions_assigned(set())
    revoking = asyncio.create_task(source.on_partitions_revoked(set()))
    waiting = asyncio.create_task(source.next_assignment())
    async with asyncio.timeout(10):
        await revoking
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait((waiting,))


async def test_a_fetch_after_the_end_lets_others_run() -> None:
    """Whoever asks an ended assignment in a loop gets nothing and starves nobody."""
    source = unconnected()
    await source.on_partitions_assigned(set())
    revoking = asyncio.create_task(source.on_partitions_revoked(set()))
    await asyncio.sleep(0)
    others_ran = asyncio.Event()
    asyncio.get_running_loop().call_soon(others_ran.set)
    for _ in range(10):
        assert await source.fetch(max_records=1, max_bytes=1, timeout_s=10) == []
    assert others_ran.is_set()
    source.release()
    await revoking


async def test_a_revocation_waits_until_nothing_is_held() -> None:
    """The group goes on only when what was held is released."""
    source = unconnected()
    await source.on_partitions_assigned(set())
    revoking = asyncio.create_task(source.on_partitions_revoked(set()))
    done, _ = await asyncio.wait((revoking,), timeout=0.2)
    assert not done
    source.release()
    async with asyncio.timeout(10):
        await revoking
