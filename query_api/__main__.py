"""``python -m query_api``: the query service. ``--check`` checks the settings, Kafka (which holds
the API keys) and ClickHouse, and leaves.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress
from typing import Final

from aiohttp import web

from query_api.app import QueryService, application
from query_api.connections import BACKLOG, Runner
from query_api.errors import StoreUnavailable
from query_api.keys_feed import KafkaKeysFeed
from query_api.process import collect_seldom, raise_open_files
from query_api.settings import Settings
from query_api.store import ClickHouseStore
from schemas.kafka import KafkaSettings
from schemas.keys import KeyRing, KeysUnreachable
from schemas.logs import log_to_stderr
from schemas.settings import Variables

_log = logging.getLogger(__name__)

_RETRY_S: Final = 1.0
_MAX_URL_BYTES: Final = 1 << 16  # a list of many filter values is long
_ANSWER_WITHIN_S: Final = 10.0  # for requests under way
_LOST_AFTER_S: Final = 30.0


async def serve(settings: Settings, kafka: KafkaSettings) -> int:
    """Serve until told to stop, then answer what was asked. Gives the exit status.

    It listens at once, and is ready when ClickHouse answers and the keys are read.
    """
    stop = _watch_for_stop()
    ring = KeyRing(is_complete=False)
    feed, store = KafkaKeysFeed(kafka, ring), ClickHouseStore(settings)
    runner = Runner(
        application(QueryService(store, ring, settings)),
        head_timeout_s=settings.head_timeout_s,
        keepalive_timeout_s=settings.keepalive_timeout_s,
        auto_decompress=False,  # schemas/content_encoding.py does it, within limits
        max_line_size=_MAX_URL_BYTES,
        max_head_bytes=2 * _MAX_URL_BYTES,
        shutdown_timeout=_ANSWER_WITHIN_S,
    )
    await runner.setup()
    reading = asyncio.create_task(_read_keys(feed))
    stopping = asyncio.create_task(stop.wait())
    lost = asyncio.create_task(_lost_kafka(feed, settings, kafka))
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=BACKLOG).start()
        _log.info("listening on %s:%d", settings.host, settings.port)
        await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            reading.result()
            _log.info("the API keys are read")
        await asyncio.wait((stopping, lost), return_when=asyncio.FIRST_COMPLETED)
    finally:
        await runner.cleanup()
        for task in (reading, stopping, lost):
            task.cancel()
        await asyncio.wait((reading, stopping, lost))
        await feed.close()
        await store.close()
    return 0 if stop.is_set() else 1


async def check(settings: Settings, kafka: KafkaSettings) -> None:
    """Connect to everything and leave. Raises KeysUnreachable or StoreUnavailable."""
    feed, store = KafkaKeysFeed(kafka, KeyRing()), ClickHouseStore(settings)
    try:
        await store.ping()
        await feed.open()
    finally:
        await feed.close()
        await store.close()


async def _lost_kafka(feed: KafkaKeysFeed, settings: Settings, kafka: KafkaSettings) -> None:
    """Return when Kafka has not answered for a while but does so to whoever connects anew.

    Its client never asks the bootstrap address twice and reads certificates once: where all
    brokers moved, or the certificate ran out, only a new process finds them again.
    """
    while True:
        await asyncio.sleep(_LOST_AFTER_S)
        with suppress(KeysUnreachable, OSError, StoreUnavailable):
            if not await feed.answers():
                await check(settings, kafka)
                if not await feed.answers():
                    _log.error("Kafka answers new connections but not ours: to be started again")
                    return


async def _read_keys(feed: KafkaKeysFeed) -> None:
    while True:
        try:
            await feed.open()
            return
        except KeysUnreachable as error:
            _log.warning("%s; again in %g s", error, _RETRY_S)
            await asyncio.sleep(_RETRY_S)


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
    """Read arguments and environment, then serve or check. Gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m query_api", description=__doc__)
    parser.add_argument("--check", action="store_true", help="check everything, and leave")
    arguments = parser.parse_args()
    variables = Variables(os.environ)
    log_to_stderr("query", variables)
    settings, kafka = Settings.read(variables), KafkaSettings.read(variables)
    try:
        variables.check()
        if arguments.check:
            asyncio.run(check(settings, kafka))
            sys.stdout.write("query: the settings are good, Kafka and ClickHouse answer\n")
            return 0
        raise_open_files()
        collect_seldom()
        return asyncio.run(serve(settings, kafka))
    except (KeysUnreachable, OSError, StoreUnavailable, ValueError) as error:
        sys.stderr.write(f"query: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
