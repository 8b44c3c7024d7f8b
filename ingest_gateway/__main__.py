"""``python -m ingest_gateway``: the gateway over Kafka. ``--check`` checks the settings and Kafka,
and leaves.
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

from ingest_gateway.app import Gateway, application
from ingest_gateway.connections import BACKLOG, Runner
from ingest_gateway.errors import BadTopic, Unreachable
from ingest_gateway.keys_feed import KafkaKeysFeed
from ingest_gateway.log import KafkaEventLog
from ingest_gateway.process import collect_seldom, raise_open_files
from ingest_gateway.settings import Settings
from schemas.kafka import KafkaSettings
from schemas.keys import KeyRing, KeysUnreachable
from schemas.logs import log_to_stderr
from schemas.settings import Variables

_log = logging.getLogger(__name__)

_RETRY_S: Final = 1.0
_ANSWER_WITHIN_S: Final = 4.0  # for requests under way; an append takes 3.5 s at most
_DRAIN_S: Final = 10.0
_LOST_AFTER_S: Final = 30.0


async def serve(settings: Settings, kafka: KafkaSettings) -> int:
    """Serve until told to stop; give the exit status.

    It listens at once, and is ready when Kafka answers and the keys are read. Told to stop, it
    answers what was asked and waits until Kafka holds what is on its way, but not for ever.
    """
    stop = _watch_for_stop()
    ring = KeyRing(is_complete=False)
    log, feed = KafkaEventLog(kafka), KafkaKeysFeed(kafka, ring)
    runner = Runner(
        application(Gateway(log, ring, settings)),
        head_timeout_s=settings.head_timeout_s,
        keepalive_timeout_s=settings.keepalive_timeout_s,
        auto_decompress=False,  # schemas/content_encoding.py does it, within limits
        shutdown_timeout=_ANSWER_WITHIN_S,
    )
    await runner.setup()
    connecting = asyncio.create_task(_connect(log, feed))
    stopping = asyncio.create_task(stop.wait())
    lost = asyncio.create_task(_lost_kafka(feed, kafka))
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=BACKLOG).start()
        _log.info("listening on %s:%d", settings.host, settings.port)
        await asyncio.wait((connecting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if connecting.done():
            connecting.result()
            _log.info("ready: events are accepted")
        await asyncio.wait((stopping, lost), return_when=asyncio.FIRST_COMPLETED)
    finally:
        await runner.cleanup()
        for task in (connecting, stopping, lost):
            task.cancel()
        await asyncio.wait((connecting, stopping, lost))
        await feed.close()
        unknown = await log.close(timeout_s=_DRAIN_S)
    if unknown:
        _log.error("Kafka has not confirmed %d records: their outcome is unknown", unknown)
    return 1 if unknown or not stop.is_set() else 0


async def check(kafka: KafkaSettings) -> None:
    """Connect to everything and leave. Raises Unreachable, KeysUnreachable or BadTopic."""
    log, feed = KafkaEventLog(kafka), KafkaKeysFeed(kafka, KeyRing())
    try:
        await log.open()
        await feed.open()
    finally:
        await feed.close()
        await log.close()


async def _lost_kafka(feed: KafkaKeysFeed, kafka: KafkaSettings) -> None:
    """Return when Kafka has not answered for a while but does so to whoever connects anew.

    Its client never asks the bootstrap address twice and reads certificates once: where all
    brokers moved, or the certificate ran out, only a new process finds them again.
    """
    while True:
        await asyncio.sleep(_LOST_AFTER_S)
        with suppress(BadTopic, KeysUnreachable, OSError, Unreachable):
            if not await feed.answers():
                await check(kafka)
                if not await feed.answers():
                    _log.error("Kafka answers new connections but not ours: to be started again")
                    return


async def _connect(log: KafkaEventLog, feed: KafkaKeysFeed) -> None:
    for opening in (log.open, feed.open):
        while True:
            try:
                await opening()
                break
            except (KeysUnreachable, Unreachable) as error:
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
    parser = argparse.ArgumentParser(prog="python -m ingest_gateway", description=__doc__)
    parser.add_argument("--check", action="store_true", help="check settings and Kafka, and leave")
    arguments = parser.parse_args()
    variables = Variables(os.environ)
    log_to_stderr("gateway", variables)
    settings, kafka = Settings.read(variables), KafkaSettings.read(variables)
    try:
        variables.check()
        if arguments.check:
            asyncio.run(check(kafka))
            sys.stdout.write("gateway: the settings are good, Kafka answers, the topic is right\n")
            return 0
        raise_open_files()
        collect_seldom()
        return asyncio.run(serve(settings, kafka))
    except (BadTopic, KeysUnreachable, OSError, Unreachable, ValueError) as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
