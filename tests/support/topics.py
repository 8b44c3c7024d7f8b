"""Topics of a test's own in a shared Kafka: made as production makes them, read, set wrongly."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.topics.plan import Wanted
from deploy.topics.topics import apply
from schemas.kafka import KafkaSettings


async def new_topics(bootstrap_servers: str, **wanted: int) -> KafkaSettings:
    """Make Tally's topics under a prefix of their own; ``wanted`` are fields of `Wanted`."""
    settings = KafkaSettings(
        bootstrap_servers=bootstrap_servers, topic_prefix=f"test-{uuid.uuid4().hex[:12]}"
    )
    await apply(settings, Wanted(**{"partitions": 4, **wanted}))
    return settings


async def read_topic(settings: KafkaSettings, topic: str | None = None) -> list[Any]:
    """Every record that a topic, that of the events unless told, holds now, as aiokafka's."""
    topic = topic or settings.events_topic
    # Else its own first reset, to the end, may come after the seek.
    options = {**settings.client_options(), "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer(topic, **options) as consumer:
        parts = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or ()]
        ends = await consumer.end_offsets(parts)
        await consumer.seek_to_beginning(*parts)
        found: list[Any] = []
        async with asyncio.timeout(60):
            while any([await consumer.position(one) < ends[one] for one in parts]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
    return sorted(found, key=lambda record: (record.partition, record.offset))


async def configure(settings: KafkaSettings, **changed: str) -> None:
    """Set settings of the topic of events, past every check; ``_`` stands for a dot.

    All others keep their values.
    """
    topic = settings.events_topic
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    try:
        asked = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        entries = asked[0].to_object()["resources"][0]["config_entries"]
        own = {
            entry["config_names"]: entry["config_value"]
            for entry in entries
            if entry["config_source"] == 1
        }
        own |= {name.replace("_", "."): value for name, value in changed.items()}
        answers = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, own)])
        assert all(code == 0 for answer in answers for code, *_ in answer.resources), answers
    finally:
        await admin.close()
