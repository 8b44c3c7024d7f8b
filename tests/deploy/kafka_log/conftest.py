"""A log in the shared Kafka that no other test has."""

from __future__ import annotations

import uuid

import pytest

from deploy.topics.plan import Wanted
from deploy.topics.topics import apply
from schemas.kafka import KafkaSettings
from tests.support.kafka import Kafka


@pytest.fixture
def bare(kafka: Kafka) -> KafkaSettings:
    """A prefix under which there is no topic yet."""
    prefix = f"log-{uuid.uuid4().hex[:8]}"
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, topic_prefix=prefix)


@pytest.fixture
async def settings(bare: KafkaSettings) -> KafkaSettings:
    """All topics, that of the events with two partitions."""
    await apply(bare, Wanted(partitions=2))
    return bare
