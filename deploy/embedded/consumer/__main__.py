"""``python -m deploy.embedded.consumer``: the consumer, as a child of ``tally up``."""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import sys
from pathlib import Path

from consumer.dead_letter import DeadLetters
from consumer.errors import MustStop
from consumer.kafka.dead_letter import KafkaDeadLetters
from consumer.kafka.settings import GroupSettings
from consumer.kafka.source import KafkaSource
from consumer.runner import Consumer
from consumer.settings import Settings
from consumer.source import Source
from consumer.store import ClickHouseStore
from deploy.embedded.child import tell_ready, watch_for_stop
from deploy.embedded.log.dead_letters import SqliteDeadLetters
from deploy.embedded.log.files import AlreadyOpen
from deploy.embedded.log.source import SqliteSource
from schemas.kafka import KafkaSettings
from schemas.logs import TEXT, log_to_stderr
from schemas.settings import Variables


async def over_sqlite(directory: Path, settings: Settings, arguments: argparse.Namespace) -> int:
    """Consume the embedded log until told to stop; give the exit status."""
    letters = SqliteDeadLetters(directory)
    try:
        # Its partition count never changes, so no ID is ever in two partitions.
        return await _run(SqliteSource(directory), letters, settings, arguments, check_twice=False)
    finally:
        letters.close()


async def over_kafka(
    kafka: KafkaSettings, group: GroupSettings, settings: Settings, arguments: argparse.Namespace
) -> int:
    """Consume the log in Kafka until told to stop; give the exit status."""
    letters = KafkaDeadLetters(kafka)
    try:
        return await _run(KafkaSource(kafka, group), letters, settings, arguments, check_twice=True)
    finally:
        await letters.close()


async def _run(
    source: Source,
    letters: DeadLetters,
    settings: Settings,
    arguments: argparse.Namespace,
    *,
    check_twice: bool,
) -> int:
    stop = watch_for_stop(arguments.parent_pipe)
    store = ClickHouseStore(settings.clickhouse)
    consumer = Consumer(source, store, letters, settings, check_twice=check_twice)
    tell_ready(arguments.ready_pipe)
    try:
        return 0 if await consumer.run(stop) else 1
    finally:
        await store.close()


def main() -> int:
    """Read arguments and environment, then run."""
    parser = argparse.ArgumentParser(prog="python -m deploy.embedded.consumer")
    log = parser.add_mutually_exclusive_group(required=True)
    log.add_argument("--log", type=Path, help="the embedded log's directory")
    log.add_argument("--kafka", action="store_true", help="the log that TALLY_KAFKA_* name")
    parser.add_argument("--parent-pipe", type=int)
    parser.add_argument("--ready-pipe", type=int)
    arguments = parser.parse_args()
    variables = Variables(os.environ)
    log_to_stderr("consumer", variables, default=TEXT)
    settings, group = Settings.read(variables), GroupSettings.read(variables)
    kafka = KafkaSettings.read(variables) if arguments.kafka else None
    try:
        variables.check()
    except ValueError as error:
        sys.exit(f"consumer: {error}")
    try:
        if kafka is None:
            return asyncio.run(over_sqlite(arguments.log, settings, arguments))
        return asyncio.run(over_kafka(kafka, group, settings, arguments))
    except (AlreadyOpen, MustStop, sqlite3.Error) as error:
        sys.exit(f"consumer: {error}")


if __name__ == "__main__":
    sys.exit(main())
