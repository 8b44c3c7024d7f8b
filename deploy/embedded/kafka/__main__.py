"""Start the broker: ``python -m deploy.embedded.kafka --path DIR --port N``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Final

from deploy.embedded.child import tell_ready, watch_for_stop
from deploy.embedded.kafka.broker import LocalBroker
from deploy.embedded.kafka.errors import CannotStartError
from deploy.embedded.kafka.settings import jar_cache
from schemas.logs import TEXT, log_to_stderr
from schemas.settings import Variables

logger = logging.getLogger("deploy.embedded.kafka")

_STOP_S: Final = 5.0  # it takes well under a second; what it has acknowledged is safe anyway


def main() -> int:
    """Run until SIGTERM, SIGINT or the end of the parent; give the exit status.

    That is Java's own if the broker ends by itself (128 and the number, if by a signal).
    """
    parser = argparse.ArgumentParser(prog="python -m deploy.embedded.kafka", description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="directory of everything it keeps")
    parser.add_argument("--port", type=int, required=True, help="port for clients, on loopback")
    parser.add_argument("--parent-pipe", type=int, help="descriptor that closes with the parent")
    parser.add_argument("--ready-pipe", type=int, help="descriptor to write to when ready")
    options = parser.parse_args()
    log_to_stderr("kafka", Variables(os.environ), default=TEXT)
    broker = LocalBroker(options.path, cache=jar_cache(os.environ), port=options.port)
    try:
        return asyncio.run(_run(broker, options))
    except CannotStartError as error:
        sys.stderr.write(f"{error}\n")
        return 1


async def _run(broker: LocalBroker, options: argparse.Namespace) -> int:
    stop = asyncio.create_task(watch_for_stop(options.parent_pipe).wait())
    start = asyncio.create_task(broker.start())
    await asyncio.wait((stop, start), return_when=asyncio.FIRST_COMPLETED)
    if not start.done():
        start.cancel()
        await asyncio.wait((start,))
        return 0
    await start
    logger.info("ready at %s on %s", broker.bootstrap_servers, options.path)
    tell_ready(options.ready_pipe)
    end = asyncio.create_task(broker.wait())
    await asyncio.wait((stop, end), return_when=asyncio.FIRST_COMPLETED)
    if stop.done():
        logger.info("stopping: the broker has %g s", _STOP_S)
    else:
        logger.error("Kafka ended with status %d: %s", end.result(), broker.why_it_ended())
    await broker.stop(_STOP_S)
    status = await end
    if stop.done():
        return 0
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
