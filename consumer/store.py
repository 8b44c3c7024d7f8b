"""ClickHouse, as the consumer uses it: look-ups in ``event_ids``, inserts into both tables."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Protocol

import clickhouse_connect
import msgspec
from aiohttp import ClientError
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from consumer.errors import Misconfigured, Refused, Unavailable
from consumer.intake import Identity
from consumer.resolve import KnownKeys
from schemas.clickhouse import ClickHouseSettings
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
    """Where events are kept. Every call raises `Unavailable`, its kind `Misconfigured`, or
    `Refused`, and may be repeated.
    """

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

# What ClickHouse's error codes ask for; system.errors has their names. One in neither set may
# be the fault of a row, which is then searched for; limits on dead letters bound a mistake here.
_NOT_NOW: Final = frozenset(  # will change by itself
    (
        *(159, 160, 209, 1017, 1019),  # time-outs
        *(201, 202, 203, 252, 290, 364, 439, 745, 749, 762, 776),  # too much at once
        *(173, 241, 777, 778, 1020),  # memory
        *(74, 75, 76, 77, 88, 204, 214, 243, 294, 425, 499, 641),  # files, disks, object stores
        *(95, 96, 99, 100, 101, 102, 198, 210, 279),  # the network
        *(225, 242, 254, 265, 285, 286, 289, 297, 319, 999),  # replicas and their keeper
        *(236, 341, 372, 373, 394, 677, 733, 735),  # restarts and cancellations
        *(1000, 1001, 1002),  # whatever the system's libraries raise
    )
)
_NOT_THE_ROWS: Final = frozenset(  # a person must mend it
    (
        *(8, 10, 16, 20),  # columns
        *(56, 60, 81, 119, 218, 741, 774),  # tables and databases
        *(371, 701),  # clusters
        *(115, 180, 452),  # settings and their profiles
        *(164, 192, 193, 194, 195, 199, 291, 497, 511, 516, 673, 720),  # users and their rights
        *(46, 47, 48, 50, 62, 73, 85, 344, 392, 620),  # SQL that this server does not know or allow
    )
)
# Our own gateway names the fields and no sender does, so this is a table's fault and never a row's.
_NO_SUCH_COLUMN: Final = re.compile(
    r"ClickHouse: (?:Code: 117\. DB::Exception: )+Unknown field found while parsing JSONEachRow"
)
# Words that the client puts around the server's own, which a dead letter keeps as its reason.
_AROUND: Final = re.compile(
    r"^Received ClickHouse exception, code: \d+, server response: | \(for url [^()]*\)$"
)


class ClickHouseStore:
    """A `Store` over ClickHouse's HTTP interface. Connects at first use."""

    def __init__(self, settings: ClickHouseSettings) -> None:
        self._settings = settings
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
            await client.raw_insert(
                table,
                columns,
                block,
                settings={**INSERT_SETTINGS, **self._settings.insert_settings()},
                fmt=fmt,
            )
        except (ClickHouseError, ClientError, OSError) as error:
            raise _by_reaction(error) from error

    async def _connected(self) -> AsyncClient:
        if self._client is None:
            self._client = await clickhouse_connect.get_async_client(
                **self._settings.client_options(),
                compress=False,
                autogenerate_session_id=False,
                query_retries=0,
                send_receive_timeout=_INSERT_TIMEOUT_S,
            )
        return self._client


def _by_reaction(error: Exception) -> Unavailable | Refused:
    code: Any = getattr(error, "code", None)
    words = _AROUND.sub("", " ".join(str(error).split()))
    text = f"ClickHouse: {words or type(error).__name__}"
    if code is None or code in _NOT_NOW:
        return Unavailable(text)
    if code in _NOT_THE_ROWS:
        return Misconfigured(text)
    if _NO_SUCH_COLUMN.match(text):
        return Misconfigured(
            f"a table lacks a column: apply the migrations (tally migrate): {text}"
        )
    return Refused(text)
