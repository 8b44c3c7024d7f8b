"""Whether the topic is as the gateway needs it, asked of Kafka at start."""

from __future__ import annotations

import asyncio
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from ingest_gateway.errors import BadTopic, Unreachable
from schemas.kafka import KafkaSettings
from schemas.topic_answers import read_topics
from schemas.topics import EVENTS, check

_TIMEOUT_S: Final = 10.0


async def check_topic(settings: KafkaSettings) -> None:
    """Return if nothing is wrong that the design hangs on.

    Raises `BadTopic`, whose text names topic and setting and what mends it, or `Unreachable` if
    Kafka can't be asked just now.
    """
    topic = settings.events_topic
    admin = AIOKafkaAdminClient(**settings.client_options())
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await admin.start()
            topics = await admin.describe_topics()  # asked by name, Kafka may make it
            configs = await admin.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, topic)]
            )
    except (KafkaError, OSError, TimeoutError) as error:
        raise unreachable(settings, error) from error
    finally:
        await admin.close()
    resources = [one for answer in configs for one in answer.to_object()["resources"]]
    try:
        found = read_topics(topics, resources)
    except ValueError as error:
        raise BadTopic(str(error)) from None
    if wrong := [str(one) for one in check({topic: EVENTS}, found) if one.breaks]:
        raise BadTopic("; ".join(wrong))


def unreachable(settings: KafkaSettings, error: Exception) -> Unreachable:
    """Make the error of a Kafka that does not answer."""
    why = str(error) or type(error).__name__
    return Unreachable(
        f"Kafka at TALLY_KAFKA_BOOTSTRAP_SERVERS={settings.bootstrap_servers}: {why}"
    )
