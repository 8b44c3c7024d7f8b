"""ClickHouse, as the consumer uses it: look-ups in ``event_ids``, inserts into both tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Protocol

import clickhouse_connect
import msgspec
from aiohttp import ClientError
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from consumer.errors import Refused, Unavailable
from consumer.intake import Identity
from consumer.resolve import KnownKeys
from schemas.tables import (
    EVENT_ID_COLUMNS,
    EVENT_IDS,
    EVENTS,
    INSERT_SETTINGS,
    EventIdEntry,
    EventKey,
    event_id_row,
)


class Store(Protocol):
    """Where events are kept. Every call raises `Unavailable` or `Refused`, and may be repeated."""

    async def look_up(self, identities: Collection[Identity]) -> Mapping[Identity, KnownKeys]:
        """Give the keys known of each of these IDs; IDs never seen are left out."""
        ...

    async def insert_events(self, lines: Sequence[bytes]) -> None:
        """Store rows and tombstones, as one insert."""
        ...

    async def insert_event_ids(self, entries: Sequence[EventIdEntry]) -> None:
        """Store index entries, as one insert."""
        ...


# A batch that spans thousands of days makes as many parts, each of them synced to the disk.
_INSERT_TIMEOUT_S: Final = 1800
# Literals of this many IDs stay far below what ClickHouse parses at once.
_MAX_IDS_A_QUERY: Final = 50_000
_LOOK_UP: Final = (
    f"SELECT h1, h2, toUnixTimestamp(hour), customer, max(version) FROM {EVENT_IDS}"
    " WHERE h1 IN (%s) GROUP BY h1, h2, hour, customer"
)
_LOOK_UP_SETTINGS: Final = {
    "output_format_json_quote_64bit_integers": "0",
    "max_query_size": str(_MAX_IDS_A_QUERY * 32),
    "use_query_condition_cache": "0",
}
_known_row = msgspec.json.Decoder(tuple[int, int, int, str, int])

# ClickHouse's codes for "not now": memory, time-outs, too many parts or queries, disk, network,
# replicas. Anything else will not change by being repeated.
_NOT_NOW: Final = frozenset(
    (159, 160, 164, 202, 203, 209, 210, 236, 241, 242, 243, 252, 290, 319, 394, 425, 439, 999)
)


class ClickHouseStore:
    """A `Store` over ClickHouse's HTTP interface. Connects at first use."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: AsyncClient | None = None

    async def look_up(self, identities: Collection[Identity]) -> Mapping[Identity, KnownKeys]:
        """See `Store.look_up`."""
        known: dict[Identity, dict[EventKey, int]] = {}
        wanted = list(identities)
        for start in range(0, len(wanted), _MAX_IDS_A_QUERY):
            some = set(wanted[start : start + _MAX_IDS_A_QUERY])
            literals = ",".join(str(h1) for h1, _ in some)
            answer = await self._query(_LOOK_UP % literals)
            for line in answer.splitlines():
                h1, h2, hour, customer, version = _known_row.decode(line)
                identity = (h1, h2)
                if identity in some:  # h1 alone may collide
                    known.setdefault(identity, {})[EventKey(hour, customer)] = version
        return known

    async def insert_events(self, lines: Sequence[bytes]) -> None:
        """See `Store.insert_events`."""
        await self._insert(EVENTS, None, b"".join(lines), "JSONEachRow")

    async def insert_event_ids(self, entries: Sequence[EventIdEntry]) -> None:
        """See `Store.insert_event_ids`."""
        block = b"".join(map(event_id_row, entries))
        await self._insert(EVENT_IDS, EVENT_ID_COLUMNS, block, "JSONCompactEachRow")

    async def close(self) -> None:
        """Close the connections. May be called twice."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def _query(self, query: str) -> bytes:
        try:
            client = await self._connected()
            return bytes(
                await client.raw_query(query, settings=_LOOK_UP_SETTINGS, fmt="JSONCompactEachRow")
            )
        except (ClickHouseError, ClientError, OSError) as error:
            raise _by_reaction(error) from error

    async def _insert(
        self, table: str, columns: Sequence[str] | None, block: bytes, fmt: str
    ) -> None:
        try:
            client = await self._connected()
            await client.raw_insert(table, columns, block, settings=dict(INSERT_SETTINGS), fmt=fmt)
        except (ClickHouseError, ClientError, OSError) as error:
            raise _by_reaction(error) from error

    async def _connected(self) -> AsyncClient:
        if self._client is None:
            self._client = await clickhouse_connect.get_async_client(
                dsn=self._url,
                compress=False,
                autogenerate_session_id=False,
                query_retries=0,
                send_receive_timeout=_INSERT_TIMEOUT_S,
            )
        return self._client


def _by_reaction(error: Exception) -> Unavailable | Refused:
    code: Any = getattr(error, "code", None)
    text = str(error).strip() or type(error).__name__
    if code is None or code in _NOT_NOW:
        return Unavailable(f"ClickHouse: {text}")
    return Refused(f"ClickHouse: {text}")
