"""Whether the topics are as the consumer needs them, asked of Kafka at start."""

from __future__ import annotations

import asyncio
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from consumer.errors import MustStop, Unavailable
from schemas.kafka import KafkaSettings
from schemas.topic_answers import read_topics
from schemas.topics import DEAD_LETTERS, EVENTS, check

_TIMEOUT_S: Final = 10.0


async def check_topics(settings: KafkaSettings) -> None:
    """Return if nothing is wrong that the design hangs on.

    Raises MustStop, whose text names topic and setting and what mends it, or Unavailable if Kafka
    can't be asked just now.
    """
    specs = {settings.events_topic: EVENTS, settings.dead_letters_topic: DEAD_LETTERS}
    admin = AIOKafkaAdminClient(**settings.client_options())
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await admin.start()
            topics = await admin.describe_topics()  # asked by name, Kafka may make them
            configs = await admin.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, name) for name in specs]
            )
    except (KafkaError, OSError, TimeoutError) as error:
        raise unreachable(settings, error) from error
    finally:
        await admin.close()
    resources = [one for answer in configs for one in answer.to_object()["resources"]]
    try:
        found = read_topics(topics, resources)
    except ValueError as error:
        raise MustStop(str(error)) from None
    if wrong := [str(one) for one in check(specs, found) if one.breaks]:
        raise MustStop("; ".join(wrong))


def unreachable(settings: KafkaSettings, error: Exception) -> Unavailable:
    """Make the error of a Kafka that does not answer; one that was made before stays as it is."""
    if isinstance(error, Unavailable):
        return error
    why = str(error) or type(error).__name__
    return Unavailable(
        f"Kafka at TALLY_KAFKA_BOOTSTRAP_SERVERS={settings.bootstrap_servers}: {why}"
    )
