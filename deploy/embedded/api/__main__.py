"""``python -m deploy.embedded.api``: gateway and query service on one port."""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import Final

from aiohttp import web

from deploy.embedded.api.app import build
from deploy.embedded.api.logs import ApiLog, KafkaApiLog, SqliteApiLog
from deploy.embedded.child import tell_ready, watch_for_stop
from deploy.embedded.log.files import AlreadyOpen
from ingest_gateway.app import Gateway
from ingest_gateway.connections import BACKLOG, Runner
from ingest_gateway.errors import BadTopic
from ingest_gateway.process import collect_seldom, raise_open_files
from ingest_gateway.settings import Settings as GatewaySettings
from query_api.app import QueryService
from query_api.settings import Settings as QuerySettings
from query_api.store import ClickHouseStore
from schemas.kafka import KafkaSettings
from schemas.logs import TEXT, log_to_stderr
from schemas.settings import Variables

_MAX_URL_BYTES: Final = 1 << 16  # a list of many filter values is long
_STOP_S: Final = 4.0  # for requests under way and the log; an append takes 3.5 s at most


async def run(
    arguments: argparse.Namespace,
    kafka: KafkaSettings | None,
    gateway_settings: GatewaySettings,
    query_settings: QuerySettings,
) -> int:
    """Serve until told to stop, then answer what was asked and close the log.

    It listens at once, and is ready when the log takes events and the keys are read.
    """
    stop = watch_for_stop(arguments.parent_pipe)
    log: ApiLog = SqliteApiLog(arguments.log) if kafka is None else KafkaApiLog(kafka)
    store = ClickHouseStore(query_settings)
    gateway = Gateway(log.events, log.ring, gateway_settings)
    runner = Runner(
        build(gateway, QueryService(store, log.ring, query_settings)),
        head_timeout_s=gateway_settings.head_timeout_s,
        keepalive_timeout_s=gateway_settings.keepalive_timeout_s,
        auto_decompress=False,  # schemas/content_encoding.py does it, within limits
        max_line_size=_MAX_URL_BYTES,
        max_head_bytes=2 * _MAX_URL_BYTES,
        shutdown_timeout=_STOP_S,
    )
    await runner.setup()
    connecting = asyncio.create_task(log.connect())
    stopping = asyncio.create_task(stop.wait())
    try:
        await web.TCPSite(runner, arguments.host, arguments.port, backlog=BACKLOG).start()
        await asyncio.wait((connecting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if connecting.done():
            connecting.result()
            tell_ready(arguments.ready_pipe)
        await stopping
    finally:
        deadline = time.monotonic() + _STOP_S
        await runner.cleanup()
        for task in (connecting, stopping):
            task.cancel()
        await asyncio.wait((connecting, stopping))
        await log.close(timeout_s=max(0.0, deadline - time.monotonic()))
        await store.close()
    return 0


def main() -> int:
    """Read arguments and environment, then serve."""
    parser = argparse.ArgumentParser(prog="python -m deploy.embedded.api")
    log = parser.add_mutually_exclusive_group(required=True)
    log.add_argument("--log", type=Path, help="the embedded log's directory")
    log.add_argument("--kafka", action="store_true", help="the log that TALLY_KAFKA_* name")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--parent-pipe", type=int)
    parser.add_argument("--ready-pipe", type=int)
    arguments = parser.parse_args()
    log_to_stderr("api", Variables(os.environ), default=TEXT)
    try:
        kafka = KafkaSettings.from_env(os.environ) if arguments.kafka else None
        gateway_settings = GatewaySettings.from_env(os.environ)
        query_settings = QuerySettings.from_env(os.environ)
    except ValueError as error:
        sys.exit(f"api: {error}")
    try:
        raise_open_files()
        collect_seldom()
        return asyncio.run(run(arguments, kafka, gateway_settings, query_settings))
    except (AlreadyOpen, BadTopic, OSError, sqlite3.Error) as error:
        sys.exit(f"api: {error}")


if __name__ == "__main__":
    sys.exit(main())
