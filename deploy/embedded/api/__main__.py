"""``python -m deploy.embedded.api``: gateway and query service on one port."""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path

from aiohttp import web

from deploy.embedded.api.app import build
from deploy.embedded.child import log_to_stderr, tell_ready, watch_for_stop
from deploy.embedded.log.events import SqliteEventLog
from deploy.embedded.log.files import AlreadyOpen
from deploy.embedded.log.keys import KeysFeed
from ingest_gateway.app import Gateway
from ingest_gateway.settings import Settings as GatewaySettings
from query_api.app import QueryService
from query_api.settings import Settings as QuerySettings
from query_api.store import ClickHouseStore
from schemas.keys import KeyRing

_MAX_URL_BYTES = 1 << 16  # a list of many filter values is long
_SHUTDOWN_S = 4.0  # for requests under way; a gateway's append takes 3.5 s at most


async def run(
    arguments: argparse.Namespace, gateway_settings: GatewaySettings, query_settings: QuerySettings
) -> int:
    """Serve until told to stop, then answer what was asked and close the log."""
    stop = watch_for_stop(arguments.parent_pipe)
    ring = KeyRing()
    log = SqliteEventLog(arguments.log)
    store = ClickHouseStore(query_settings)
    with closing(KeysFeed(arguments.log, ring)) as feed:
        feed.catch_up()
        following = asyncio.create_task(feed.follow())
        gateway = Gateway(log, ring, gateway_settings)
        app = build(gateway, QueryService(store, ring, query_settings))
        runner = web.AppRunner(
            app,
            access_log=None,
            max_line_size=_MAX_URL_BYTES,
            max_field_size=_MAX_URL_BYTES,
            shutdown_timeout=_SHUTDOWN_S,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, arguments.host, arguments.port).start()
            tell_ready(arguments.ready_pipe)
            await stop.wait()
        finally:
            await runner.cleanup()
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
            await store.close()
            await log.close()
    return 0


def main() -> int:
    """Read arguments and environment, then serve."""
    parser = argparse.ArgumentParser(prog="python -m deploy.embedded.api")
    parser.add_argument("--log", type=Path, required=True, help="the log's directory")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--parent-pipe", type=int)
    parser.add_argument("--ready-pipe", type=int)
    arguments = parser.parse_args()
    log_to_stderr("api")
    try:
        gateway_settings = GatewaySettings.from_env(os.environ)
        query_settings = QuerySettings.from_env(os.environ)
    except ValueError as error:
        sys.exit(f"api: {error}")
    try:
        return asyncio.run(run(arguments, gateway_settings, query_settings))
    except (AlreadyOpen, OSError, sqlite3.Error) as error:
        sys.exit(f"api: {error}")


if __name__ == "__main__":
    sys.exit(main())
