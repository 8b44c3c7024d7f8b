"""What `tally up` does: read the settings, run the stack, say why it can't."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from importlib.util import find_spec

from consumer.settings import Settings as ConsumerSettings
from deploy.clickhouse.store import CannotMigrate, Unreachable
from deploy.embedded.errors import CannotStart
from deploy.embedded.kafka.errors import CannotStartError
from deploy.embedded.up import up as run_stack
from deploy.keys_topic import KeysUnavailable
from deploy.settings import UpSettings
from deploy.topics.outcome import TopicsError
from ingest_gateway.settings import Settings as GatewaySettings
from query_api.settings import Settings as QuerySettings
from schemas.logs import TEXT, log_to_stderr
from schemas.settings import Variables


def up(*, kafka: str | None) -> int:
    """Run the stack until a signal; ``kafka`` is as for `UpSettings.from_env`. Gives the exit
    status.
    """
    if find_spec("chdb") is None:
        sys.stderr.write("tally up: chdb is missing: pip install 'tally-events[embedded]'\n")
        return 1
    variables = Variables(os.environ)
    log_to_stderr("tally", variables, default=TEXT)
    try:
        variables.check()
        settings = UpSettings.from_env(os.environ, kafka=kafka)
        # The processes read these themselves; a mistake is told before any of them starts.
        GatewaySettings.from_env(os.environ)
        QuerySettings.from_env(os.environ)
        ConsumerSettings.from_env({**os.environ, "TALLY_CLICKHOUSE_URL": "http://chosen-at-start"})
        return asyncio.run(run_stack(settings, os.environ))
    except (
        CannotMigrate,
        CannotStart,
        CannotStartError,
        KeysUnavailable,
        OSError,
        TopicsError,
        Unreachable,
        ValueError,
        sqlite3.Error,
    ) as error:
        sys.stderr.write(f"tally up: {error}\n")
        return 1
