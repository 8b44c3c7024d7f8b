"""``python -m consumer``: the consumer from Kafka to ClickHouse. ``--check`` checks the settings,
Kafka and ClickHouse, and leaves.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from contextlib import suppress
from typing import Final

from consumer.errors import MustStop, Refused, Unavailable
from consumer.kafka.dead_letter import KafkaDeadLetters
from consumer.kafka.settings import GroupSettings
from consumer.kafka.source import KafkaSource
from consumer.kafka.topics import check_topics
from consumer.runner import Consumer
from consumer.settings import Settings
from consumer.store import ClickHouseStore
from schemas.kafka import KafkaSettings
from schemas.logs import log_to_stderr
from schemas.settings import Variables

_log = logging.getLogger(__name__)

# A batch is some hundred thousand objects that all live until it is stored: looking through them
# for cycles every 700 objects took a third of the consumer's time (27 us an event, 18 without).
_GC_THRESHOLDS: Final = (100_000, 50, 50)
_LOST_AFTER_S: Final = 30.0


async def consume(settings: Settings, kafka: KafkaSettings, group: GroupSettings) -> int:
    """Consume until told to stop; give the exit status: 1 if what was held could not be stored.

    Raises MustStop.
    """
    store = ClickHouseStore(settings.clickhouse)
    letters = KafkaDeadLetters(kafka)
    # The number of partitions may grow, and then two of them may hold one event ID.
    source = KafkaSource(kafka, group)
    consumer = Consumer(source, store, letters, settings, check_twice=True)
    stop = _watch_for_stop()
    lost = asyncio.create_task(_lost_kafka(source, settings, kafka))
    lost.add_done_callback(lambda _: stop.set())
    try:
        finished = await consumer.run(stop)
    finally:
        was_lost = lost.done()
        lost.cancel()
        await asyncio.wait((lost,))
        await letters.close()
        await store.close()
    return 0 if finished and not was_lost else 1


async def check(settings: Settings, kafka: KafkaSettings) -> None:
    """Connect to everything and leave. Raises MustStop, Unavailable, Refused or Kafka's errors."""
    store = ClickHouseStore(settings.clickhouse)
    try:
        await check_topics(kafka)
        await store.look_up([(0, 0)])
    finally:
        await store.close()


async def _lost_kafka(source: KafkaSource, settings: Settings, kafka: KafkaSettings) -> None:
    """Return when Kafka has not answered for a while but does so to whoever connects anew.

    Its client never asks the bootstrap address twice and reads certificates once: where all
    brokers moved, or the certificate ran out, only a new process finds them again.
    """
    while True:
        await asyncio.sleep(_LOST_AFTER_S)
        with suppress(MustStop, OSError, Refused, Unavailable):
            if not await source.answers():
                await check(settings, kafka)
                if not await source.answers():
                    _log.error("Kafka answers new connections but not ours: to be started again")
                    return


def _watch_for_stop() -> asyncio.Event:
    """Give the event that the first SIGTERM or SIGINT sets; the second ends the process."""
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stop


def main() -> int:
    """Read arguments and environment, then consume or check. Gives the exit status."""
    gc.set_threshold(*_GC_THRESHOLDS)
    parser = argparse.ArgumentParser(prog="python -m consumer", description=__doc__)
    parser.add_argument("--check", action="store_true", help="check everything, and leave")
    arguments = parser.parse_args()
    variables = Variables(os.environ)
    log_to_stderr("consumer", variables)
    settings, kafka = Settings.read(variables), KafkaSettings.read(variables)
    group = GroupSettings.read(variables)
    try:
        variables.check()
        if arguments.check:
            asyncio.run(check(settings, kafka))
            sys.stdout.write("consumer: the settings are good, Kafka and ClickHouse are right\n")
            return 0
        return asyncio.run(consume(settings, kafka, group))
    except (MustStop, OSError, Refused, TimeoutError, Unavailable, ValueError) as error:
        sys.stderr.write(f"consumer: {error or type(error).__name__}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
