"""``python -m deploy.embedded.consumer``: the consumer over the embedded log."""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import sys
from pathlib import Path

from consumer.errors import MustStop
from consumer.runner import Consumer
from consumer.settings import Settings
from consumer.store import ClickHouseStore
from deploy.embedded.child import log_to_stderr, tell_ready, watch_for_stop
from deploy.embedded.log.dead_letters import SqliteDeadLetters
from deploy.embedded.log.files import AlreadyOpen
from deploy.embedded.log.source import SqliteSource


async def run(directory: Path, settings: Settings, arguments: argparse.Namespace) -> int:
    """Consume until told to stop; give the exit status."""
    stop = watch_for_stop(arguments.parent_pipe)
    source = SqliteSource(directory)
    store = ClickHouseStore(settings.clickhouse)
    dead_letters = SqliteDeadLetters(directory)
    # The embedded log's partition count never changes, so no ID is ever in two partitions.
    consumer = Consumer(source, store, dead_letters, settings, check_twice=False)
    tell_ready(arguments.ready_pipe)
    try:
        finished = await consumer.run(stop)
    finally:
        await store.close()
        dead_letters.close()
    return 0 if finished else 1


def main() -> int:
    """Read arguments and environment, then run."""
    parser = argparse.ArgumentParser(prog="python -m deploy.embedded.consumer")
    parser.add_argument("--log", type=Path, required=True, help="the log's directory")
    parser.add_argument("--parent-pipe", type=int)
    parser.add_argument("--ready-pipe", type=int)
    arguments = parser.parse_args()
    log_to_stderr("consumer")
    try:
        settings = Settings.from_env(os.environ)
    except ValueError as error:
        sys.exit(f"consumer: {error}")
    try:
        return asyncio.run(run(arguments.log, settings, arguments))
    except (AlreadyOpen, MustStop, sqlite3.Error) as error:
        sys.exit(f"consumer: {error}")


if __name__ == "__main__":
    sys.exit(main())
