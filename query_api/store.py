"""ClickHouse over HTTP: the only file that knows its client."""

from __future__ import annotations

import asyncio
import logging
import re
from contextvars import Context
from typing import Any, Final, TypeVar

import clickhouse_connect
import msgspec
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from query_api.errors import QueryTooCostly, StoreFailed, StoreUnavailable
from query_api.plan import Statement
from query_api.settings import Settings
from schemas.tables import READ_SETTINGS

_log = logging.getLogger(__name__)

Row = TypeVar("Row")

# Before 26.5, FINAL prunes parts by columns outside the key.
_OLDEST_SERVER: Final = (26, 5)

# Codes of src/Common/ErrorCodes.cpp.
_TOO_COSTLY: Final = {
    158: "it would read too many rows",
    159: "it took too long",
    160: "it would take too long",
    241: "it needs too much memory",
    307: "it would read too many bytes",
    396: "its result is too large",
}
_UNAVAILABLE: Final = {
    47: "ClickHouse's tables lack a column: apply the migrations",
    60: "ClickHouse has no tables yet: apply the migrations",
    81: "ClickHouse has no such database yet: apply the migrations",
    202: "ClickHouse runs too many queries",
    203: "ClickHouse has no free connection",
    209: "ClickHouse lost a connection",
    210: "ClickHouse lost a connection",
    242: "a table is read-only",
    497: "ClickHouse's user lacks a right, or the table that it is for: apply migrations and users",
    516: "ClickHouse refused the query service's user: check TALLY_CLICKHOUSE_URL",
}
_NAME: Final = re.compile(r"\(([A-Z]+(?:_[A-Z]+)+)\)")
_PING_TIMEOUT_S: Final = 2.0
# What is left to ClickHouse to say itself that a query took too long.
_GRACE_S: Final = 3.0


class ClickHouseStore:
    """A `query_api.listing.Store` that connects at its first query, and again whenever it must.

    Make it inside the running loop; any number of queries may run at once.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: AsyncClient | None = None
        self._connecting: asyncio.Task[AsyncClient] | None = None
        self._decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}
        self._query_settings = {
            **READ_SETTINGS,
            "max_execution_time": f"{settings.query_timeout_s:g}",
            "max_memory_usage": str(settings.query_max_memory_bytes),
            "optimize_use_projections": "0",
            "output_format_json_escape_forward_slashes": "0",
            "output_format_json_quote_64bit_integers": "0",
        }

    async def fetch(self, statement: Statement, row: type[Row]) -> list[Row]:
        """Run a read and decode each of its rows, an array in JSON, as ``row``.

        Raises StoreUnavailable or QueryTooCostly. Cancelling stops the query.
        """
        decoder = self._decoders.get(row)
        if decoder is None:
            decoder = self._decoders[row] = msgspec.json.Decoder(row)
        client = await self._connected()
        try:
            async with asyncio.timeout(self._settings.query_timeout_s + _GRACE_S):
                lines: bytes = await client.raw_query(
                    statement.sql,
                    parameters=statement.parameters,
                    settings=self._query_settings,
                    fmt="JSONCompactEachRow",
                )
        except TimeoutError:
            raise StoreUnavailable("ClickHouse did not answer in time") from None
        except Error as error:
            raise _by_reaction(error) from None
        return decoder.decode_lines(lines)

    async def ping(self) -> None:
        """Return if the store answers queries. Raises StoreUnavailable, which says why not."""
        try:
            async with asyncio.timeout(_PING_TIMEOUT_S):
                client = await self._connected()
                await client.raw_query("SELECT 1", fmt="JSONCompactEachRow")
        except TimeoutError:
            raise StoreUnavailable("ClickHouse did not answer in time") from None
        except Error as error:
            raise StoreUnavailable(str(_by_reaction(error))) from None

    async def close(self) -> None:
        """Give up connections. May be called twice."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
            self._connecting = None
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def _connected(self) -> AsyncClient:
        """Give the one client, made by whoever comes first; the others wait for the same attempt.

        Raises StoreUnavailable. The next call after a failure tries anew.
        """
        if self._client is not None:
            return self._client
        if self._connecting is None:
            # In a context of its own: it is for all who wait, and logs under no one's ID.
            self._connecting = asyncio.create_task(self._connect(), context=Context())
            self._connecting.add_done_callback(self._on_connected)
        # Shielded: who gives up waiting does not end the attempt for the others.
        return await asyncio.shield(self._connecting)

    def _on_connected(self, attempt: asyncio.Task[AsyncClient]) -> None:
        self._connecting = None
        if not attempt.cancelled() and attempt.exception() is None:
            self._client = attempt.result()

    async def _connect(self) -> AsyncClient:
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                client: AsyncClient = await clickhouse_connect.get_async_client(
                    **self._settings.clickhouse.client_options(),
                    connect_timeout=self._settings.connect_timeout_s,
                    send_receive_timeout=self._settings.query_timeout_s + 2 * _GRACE_S,
                    autogenerate_session_id=False,
                    query_retries=0,
                    show_clickhouse_errors="scrub",
                )
        except TimeoutError:
            raise StoreUnavailable("ClickHouse did not answer in time") from None
        except ClickHouseError as error:
            raise _by_reaction(error) from None
        if _version(client.server_version or "") < _OLDEST_SERVER:
            await client.close()
            oldest = ".".join(map(str, _OLDEST_SERVER))
            raise StoreUnavailable(
                f"ClickHouse is {client.server_version}; exact reads need {oldest} or newer"
            )
        _log.info("connected to ClickHouse %s", client.server_version)
        return client


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def _by_reaction(error: ClickHouseError) -> Exception:
    """Turn the client's error into what the caller should do. Its text may quote what was asked
    for, so of one that is ours to mend only its code and name are kept.
    """
    code = getattr(error, "code", None)
    if code is None:
        return StoreUnavailable("ClickHouse can't be reached")
    if code == 241 and "(total)" in str(error):
        return StoreUnavailable("ClickHouse is short of memory")
    if code in _TOO_COSTLY:
        return QueryTooCostly(_TOO_COSTLY[code])
    if code in _UNAVAILABLE:
        return StoreUnavailable(_UNAVAILABLE[code])
    named = _NAME.search(str(error))
    return StoreFailed(f"ClickHouse refused the query: {code} ({named[1] if named else '?'})")
