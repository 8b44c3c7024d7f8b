"""A request into SQL and typed parameters. No value of a user's ever stands in the SQL itself.

Every read of `EVENTS` is of the wide form: under FINAL, pruned by whole hours, with the exact
bounds where no index can use them. Within its hour an event's timestamp can move, and a tombstone
carries the start of its hour: a part that holds only the newer version is pruned by a bound on
the raw timestamp, and the older row comes back (ARCHITECTURE.md, "The tables").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from query_api import filters
from query_api.request import EPOCH, Filters, ListRequest, Order, Sort, Travel, Window
from schemas.event import identity_hash, identity_key
from schemas.tables import EVENT_IDS, EVENTS, EventKey


class Statement(NamedTuple):
    """SQL with ``{name:Type}`` in it, and the values for the names."""

    sql: str
    parameters: dict[str, object]


class StoredEvent(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A row as `page` and `by_id` select it; ``micros`` is its timestamp since 1970."""

    event_id: str
    event_name: str
    external_customer_id: str
    customer_id: str
    source: str
    micros: int
    properties: str
    version: int


COLUMNS = (
    "event_id, event_name, external_customer_id, customer_id, source, "
    "toUnixTimestamp64Micro(timestamp) AS micros, properties, version"
)

_HOUR = timedelta(hours=1)
_HOURS_OF_WALK = (1, 4, 16, 64)


def windows(request: ListRequest) -> Iterator[Window]:
    """Cut the request's window into pieces in the direction of travel, to be read until a page is
    full: each holds only events that sort after those of the pieces before it.

    They are whole hours but for the window's own ends, and grow. It is one piece where growing
    would not help: another sort, an offset, or a filter that the index serves in any window.
    """
    window = _narrowed(request)
    start, end = window
    one_piece = (
        start is None
        or end is None
        or request.sort is not Sort.TIMESTAMP
        or request.offset > 0
        or request.filters.external_customer_id is not None
    )
    if one_piece:
        yield window
        return
    assert start is not None
    assert end is not None
    downward = request.fetch_order is Order.DESC
    for hours in _HOURS_OF_WALK:
        if start > end:
            return
        if downward:
            cut = max(start, _hour_of(end) - (hours - 1) * _HOUR)
            yield Window(cut, end)
            end = cut - timedelta.resolution
        else:
            cut = min(end, _hour_of(start) + hours * _HOUR - timedelta.resolution)
            yield Window(start, cut)
            start = cut + timedelta.resolution
    if start <= end:
        yield Window(start, end)


def page(
    tenant: str, request: ListRequest, window: Window, limit: int, key: EventKey | None = None
) -> Statement:
    """Select up to ``limit`` `StoredEvent` of a piece of the window, in the order of travel.

    With ``key``, only a row that stands under it is found.
    """
    where = Where(tenant, request.filters, window, key)
    order = request.fetch_order
    columns = ["identity(timestamp)", "event_id"]
    if request.sort is Sort.EVENT_NAME:
        columns.insert(0, "event_name")
    if request.travel is not None:
        where.beyond(request.travel, request.sort, order)
    where.parameters |= {"limit": limit, "offset": request.offset}
    direction = order.value.upper()
    return Statement(
        f"SELECT {COLUMNS} FROM {EVENTS} FINAL WHERE {where} "
        f"ORDER BY {', '.join(f'{column} {direction}' for column in columns)} "
        "LIMIT {limit:UInt64} OFFSET {offset:UInt64}",
        where.parameters,
    )


def count(tenant: str, request: ListRequest) -> Statement:
    """Select how many events the whole list has, wherever the page begins."""
    where = Where(tenant, request.filters, request.window)
    return Statement(
        f"SELECT count() FROM {EVENTS} FINAL WHERE {where}",
        where.parameters,
    )


def known_key(tenant: str, event_id: str) -> Statement:
    """Select the key (hour in seconds, customer) that the newest send of an ID was last seen under.

    A hint: the index lags behind `EVENTS`, so the row there may be a tombstone, or not there.
    """
    h1, h2 = identity_hash(identity_key(tenant, event_id))
    return Statement(
        f"SELECT toUnixTimestamp(hour), customer FROM {EVENT_IDS} "
        "WHERE h1 = {h1:UInt64} AND h2 = {h2:UInt64} "
        "ORDER BY version DESC, hour DESC, customer DESC LIMIT 1",
        {"h1": h1, "h2": h2},
    )


def by_id(tenant: str, event_id: str, key: EventKey | None, columns: str = COLUMNS) -> Statement:
    """Select the `StoredEvent` of an ID, under one key or, without it, wherever it stands.

    Should two consumers have stored it under two keys a moment ago, it is the newer one.
    """
    where = Where(tenant, Filters(event_id=event_id), Window(None, None), key)
    return Statement(
        f"SELECT {columns} FROM {EVENTS} FINAL WHERE {where} ORDER BY version DESC LIMIT 1",
        where.parameters,
    )


class Where:
    """Conditions joined by AND; its text stands after WHERE."""

    def __init__(
        self, tenant: str, wanted: Filters, window: Window, key: EventKey | None = None
    ) -> None:
        self._conditions: list[str] = []
        self.parameters: dict[str, Any] = {}
        self._equal("tenant", tenant)
        self._within(window)
        if key is not None:
            self._under(key, wanted.event_id)
        for column in ("external_customer_id", "event_name", "event_id", "source"):
            if (value := getattr(wanted, column)) is not None:
                self._equal(column, value)
        sqls, parameters = filters.conditions(wanted.properties)
        self._conditions += sqls
        self.parameters |= parameters

    def __str__(self) -> str:
        return " AND ".join(self._conditions)

    def add(self, condition: str, parameters: Mapping[str, object]) -> None:
        """Add a condition of the caller's own, and what it names."""
        self._conditions.append(condition)
        self.parameters |= parameters

    def _equal(self, column: str, value: str) -> None:
        self._conditions.append(f"{column} = {{{column}:String}}")
        self.parameters[column] = value

    def _within(self, window: Window) -> None:
        for name, moment, compare in (("start", window.start, ">="), ("end", window.end, "<=")):
            if moment is not None:
                bound = f"{{{name}:DateTime64(6, 'UTC')}}"
                self._conditions += [
                    f"toStartOfHour(timestamp) {compare} toStartOfHour({bound})",
                    f"identity(timestamp) {compare} {bound}",
                ]
                self.parameters[name] = datetime64(moment)

    def _under(self, key: EventKey, event_id: str | None) -> None:
        """Compare with every column of the sort key, so that one granule a part is read."""
        hour, customer = "{key_hour:DateTime('UTC')}", "{key_customer:String}"
        self._conditions += [
            f"toStartOfHour(timestamp) = {hour}",
            f"external_customer_id = {customer}",
            f"kh = reinterpretAsUInt128(sipHash128({hour}, {customer}, {{event_id:String}}))",
        ]
        hour_text = (EPOCH + timedelta(seconds=key.hour)).strftime("%Y-%m-%d %H:%M:%S")
        self.parameters |= {"key_hour": hour_text, "key_customer": key.customer}

    def beyond(self, travel: Travel, sort: Sort, order: Order) -> None:
        """Keep what comes strictly after ``travel``'s position in the order of travel."""
        position = travel.position
        columns = ["identity(timestamp)", "event_id"]
        values = ["{at_timestamp:DateTime64(6, 'UTC')}", "{at_id:String}"]
        self.parameters |= {
            "at_timestamp": datetime64(position.timestamp),
            "at_id": position.event_id,
        }
        if sort is Sort.EVENT_NAME:
            columns.insert(0, "event_name")
            values.insert(0, "{at_event_name:String}")
            self.parameters["at_event_name"] = position.event_name
        compare = "<" if order is Order.DESC else ">"
        self._conditions.append(f"({', '.join(columns)}) {compare} ({', '.join(values)})")


def _narrowed(request: ListRequest) -> Window:
    """Give the request's window without what lies behind the place that its page begins at."""
    start, end = request.window
    if request.travel is None or request.sort is not Sort.TIMESTAMP:
        return Window(start, end)
    moment = request.travel.position.timestamp
    if request.fetch_order is Order.DESC:
        return Window(start, moment if end is None else min(end, moment))
    return Window(moment if start is None else max(start, moment), end)


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def datetime64(moment: datetime) -> str:
    """Write a time as the value of a ``DateTime64(6, 'UTC')`` parameter."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
