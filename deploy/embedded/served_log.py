"""The log that a stack runs on, made ready, and what its parts and its users need to know of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.client import KAFKA_ADDRESS, KAFKA_PREFIX
from deploy.embedded.kafka.jars import fetch_jars, find_java
from deploy.embedded.kafka.settings import jar_cache
from deploy.kafka_log.keys_feed import KafkaKeys
from deploy.keys_topic import EmbeddedKeys, KeysTopic
from deploy.topics.outcome import TopicsError
from deploy.topics.plan import Wanted
from deploy.topics.topics import apply, verify
from schemas.kafka import KafkaSettings

_log = logging.getLogger(__name__)

_PARTITIONS: Final = 4  # of a new topic: enough for one machine
_SESSION_TIMEOUT: Final = "TALLY_CONSUMER_SESSION_TIMEOUT_MS"
# A consumer that was killed is missed after this, and only then may the next one read: Kafka's
# least, since this stack's consumer is a child and no far machine that may be late.
_SESSION_TIMEOUT_MS: Final = "6000"


@dataclass(frozen=True, kw_only=True)
class ServedLog:
    """``arguments`` are what API and consumer take, ``env`` what they find it by, ``client_env``
    the part of it that programs on this machine need.
    """

    name: str
    keys: KeysTopic
    arguments: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    client_env: Mapping[str, str] = field(default_factory=dict)


def embedded_log(directory: Path, env: Mapping[str, str]) -> ServedLog:
    """Give the log of SQLite files in ``directory``."""
    return ServedLog(
        name="the embedded log",
        keys=EmbeddedKeys(directory),
        arguments=(f"--log={directory}",),
        env=env,
    )


async def kafka_log(settings: KafkaSettings, env: Mapping[str, str]) -> ServedLog:
    """Give the log in a Kafka that answers, its topics made and mended.

    ``env`` has what the parts need to connect, but for address and prefix. Raises TopicsError.
    """
    await _apply_topics(settings)
    client_env = {KAFKA_ADDRESS: settings.bootstrap_servers}
    if settings.topic_prefix != KafkaSettings.topic_prefix:
        client_env[KAFKA_PREFIX] = settings.topic_prefix
    return ServedLog(
        name=f"Kafka at {settings.bootstrap_servers} (topics {settings.topic_prefix}.*)",
        keys=KafkaKeys(settings),
        arguments=("--kafka",),
        env={_SESSION_TIMEOUT: _SESSION_TIMEOUT_MS, **env, **client_env},
        client_env=client_env,
    )


def without_kafka(env: Mapping[str, str]) -> dict[str, str]:
    """Give the environment for a broker of the stack's own, which has neither TLS nor users."""
    return {name: value for name, value in env.items() if not name.startswith("TALLY_KAFKA_")}


async def prepare_broker(env: Mapping[str, str]) -> None:
    """Fetch what a broker of the stack's own needs, the first time, which may take minutes.

    Raises CannotStartError, which says what to install.
    """
    await find_java()
    await fetch_jars(jar_cache(env))


async def _apply_topics(settings: KafkaSettings) -> None:
    there = (await verify(settings)).topics
    # Of a topic that is there the number stands: it may have been chosen for good reasons.
    partitions = None if settings.events_topic in there else _PARTITIONS
    applied = await apply(settings, Wanted(partitions=partitions))
    for topic in sorted({change.topic for change in applied.changes}):
        _log.info("the topic %s was %s", topic, "mended" if topic in there else "made")
    for warning in applied.warnings:
        _log.warning(warning)
    if wrong := [str(one) for one in applied.problems if one.breaks]:
        raise TopicsError("; ".join(wrong))
