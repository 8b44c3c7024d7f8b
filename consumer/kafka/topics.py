"""Whether the topics are as the consumer needs them, asked of Kafka at start."""

from __future__ import annotations

import asyncio
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from consumer.errors import MustStop
from schemas.kafka import KafkaSettings
from schemas.topic_answers import read_topics
from schemas.topics import DEAD_LETTERS, EVENTS, check

_TIMEOUT_S: Final = 10.0


async def check_topics(settings: KafkaSettings) -> None:
    """Return if nothing is wrong that the design hangs on.

    Raises MustStop, whose text names topic and setting and what mends it; KafkaError, OSError or
    TimeoutError if Kafka can't be asked.
    """
    specs = {settings.events_topic: EVENTS, settings.dead_letters_topic: DEAD_LETTERS}
    admin = AIOKafkaAdminClient(**settings.client_options())
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await admin.start()
            topics = await admin.describe_topics()  # of names it would make them
            configs = await admin.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, name) for name in specs]
            )
    finally:
        await admin.close()
    resources = [one for answer in configs for one in answer.to_object()["resources"]]
    try:
        found = read_topics(topics, resources)
    except ValueError as error:
        raise MustStop(str(error)) from None
    if wrong := [str(one) for one in check(specs, found) if one.breaks]:
        raise MustStop("; ".join(wrong))
