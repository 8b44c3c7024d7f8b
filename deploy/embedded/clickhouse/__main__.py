"""Start the server: ``python -m deploy.embedded.clickhouse --path DIR --port N``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from aiohttp import web

from deploy.embedded.child import tell_ready, watch_for_stop
from deploy.embedded.clickhouse.app import App
from deploy.embedded.clickhouse.engine import DirectoryInUseError, Engine
from schemas.logs import TEXT, log_to_stderr
from schemas.settings import Variables

logger = logging.getLogger("deploy.embedded.clickhouse")

_DRAIN_S = 4.0  # `tally up` gives it 5.5 s in all
_LAST_BYTES_S = 1.0
# ClickHouse takes URLs of 1 MiB (http_max_uri_size) and header fields of 128 KiB.
_MAX_URL_BYTES = 1 << 20
_MAX_FIELD_BYTES = 1 << 17
_READ_BUFFER_BYTES = 1 << 18


def main() -> int:
    """Run until SIGTERM, SIGINT or the end of the parent; give the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.embedded.clickhouse", description=__doc__
    )
    parser.add_argument("--path", type=Path, required=True, help="directory of the data")
    parser.add_argument("--port", type=int, required=True, help="port of the HTTP interface")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind")
    parser.add_argument("--parent-pipe", type=int, help="descriptor that closes with the parent")
    parser.add_argument("--ready-pipe", type=int, help="descriptor to write to when ready")
    options = parser.parse_args()
    log_to_stderr("clickhouse", Variables(os.environ), default=TEXT)
    path = options.path.resolve()
    try:
        engine = Engine(path)
    except DirectoryInUseError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    try:
        stopped = asyncio.run(_serve(engine, path, options))
    except OSError as error:
        sys.stderr.write(f"--host {options.host} --port {options.port}: {error.strerror}\n")
        engine.close()
        return 1
    if not stopped:
        # A thread is still inside the engine, which must not be closed under it. What it has
        # acknowledged is on disk, so leaving now loses nothing.
        logger.warning("a query could not be stopped; leaving without it")
        logging.shutdown()
        os._exit(0)
    engine.close()
    return 0


async def _serve(engine: Engine, path: Path, options: argparse.Namespace) -> bool:
    stop = watch_for_stop(options.parent_pipe)
    app = App(engine)
    runner = web.AppRunner(
        app.application,
        access_log=None,
        auto_decompress=False,
        handler_cancellation=True,
        max_line_size=_MAX_URL_BYTES,
        max_field_size=_MAX_FIELD_BYTES,
        read_bufsize=_READ_BUFFER_BYTES,
        shutdown_timeout=_LAST_BYTES_S,
    )
    await runner.setup()
    site = web.TCPSite(runner, options.host, options.port)
    try:
        await site.start()
        logger.info("ready at http://%s:%d on %s", options.host, options.port, path)
        tell_ready(options.ready_pipe)
        await stop.wait()
        logger.info("stopping: running queries have %g s", _DRAIN_S)
        await site.stop()
        await app.drain(_DRAIN_S)
    finally:
        # Handlers get a moment to send what they have, then are cancelled, and their queries with
        # them; only when no thread is left in the engine may it be closed.
        await runner.cleanup()
        stopped = await app.close()
    return stopped


if __name__ == "__main__":
    sys.exit(main())
