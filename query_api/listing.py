"""Lists and look-ups: which statements to run, and how their rows become one exact answer."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol, TypeVar

from query_api import plan
from query_api.plan import Statement, StoredEvent
from query_api.request import ListRequest
from schemas.tables import EventKey

Row = TypeVar("Row")


class Store(Protocol):
    """What the query service needs of ClickHouse."""

    async def fetch(self, statement: Statement, row: type[Row]) -> list[Row]:
        """Run a read and decode each of its rows, an array in JSON, as ``row``.

        Raises StoreUnavailable or QueryTooCostly. Cancelling stops the query.
        """

    async def ping(self) -> None:
        """Return if the store answers queries. Raises StoreUnavailable, which says why not."""

    async def close(self) -> None:
        """Give up connections. May be called twice."""


class Page(NamedTuple):
    """``events`` in the asked order; ``has_more`` looks in the direction of travel."""

    events: list[StoredEvent]
    has_more: bool
    total_count: int | None


async def read_page(store: Store, tenant: str, request: ListRequest) -> Page:
    """Read one page and, if asked, the count of the whole list: two snapshots."""
    if request.count_total:
        (events, has_more), total = await asyncio.gather(
            _read_events(store, tenant, request), _count(store, tenant, request)
        )
    else:
        events, has_more = await _read_events(store, tenant, request)
        total = None
    if request.backward:
        events.reverse()
    return Page(events, has_more, total)


async def find_event(store: Store, tenant: str, event_id: str) -> StoredEvent | None:
    """Look up the one event that an ID stands for; None if there is none, or no longer."""
    key = await known_key(store, tenant, event_id)
    for under in (key, None) if key is not None else (None,):
        statement = plan.by_id(tenant, event_id, under)
        if rows := await store.fetch(statement, StoredEvent):
            return rows[0]
    return None


async def _count(store: Store, tenant: str, request: ListRequest) -> int:
    ((total,),) = await store.fetch(plan.count(tenant, request), tuple[int])
    return total


async def _read_events(
    store: Store, tenant: str, request: ListRequest
) -> tuple[list[StoredEvent], bool]:
    """Read a page in the order of travel, and whether there is more that way."""
    limit = request.page_size + 1
    if request.filters.event_id is not None:
        # The index names the hour to look at. It is a hint: when nothing is found there,
        # the event may stand elsewhere, and only the read below can tell.
        key = await known_key(store, tenant, request.filters.event_id)
        if key is not None:
            statement = plan.page(tenant, request, request.window, limit, key)
            if rows := await store.fetch(statement, StoredEvent):
                return rows, False
    newest: dict[str, StoredEvent] = {}
    was_cut = False
    for window in plan.windows(request):
        rows = await store.fetch(plan.page(tenant, request, window, limit), StoredEvent)
        for row in rows:
            # Between two reads an event may have moved from one's piece to the other's: the
            # older row goes, and the newer one stands at its own place, the end.
            other = newest.get(row.event_id)
            if other is None or other.version < row.version:
                newest.pop(row.event_id, None)
                newest[row.event_id] = row
        was_cut = len(rows) == limit
        if was_cut or len(newest) >= limit:
            break
    events = list(newest.values())
    return events[: request.page_size], was_cut or len(events) > request.page_size


async def known_key(store: Store, tenant: str, event_id: str) -> EventKey | None:
    """Give the key that an ID was last seen under: a hint, as `plan.known_key` says."""
    for hour, customer in await store.fetch(plan.known_key(tenant, event_id), tuple[int, str]):
        return EventKey(hour, customer)
    return None
