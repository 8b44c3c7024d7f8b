"""A list of usage events into SQL, out of the pieces of `plan.py`, whose rules hold here too.

``id`` is a column that the tables make up (``deploy/clickhouse/0003_send_id.sql``): the ID that was
answered for the send, or one made of its version. As a number it sorts as its text does.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from query_api.plan import COLUMNS, Statement, StoredEvent, Where, by_id, datetime64
from query_api.request import Filters, Order, from_micros
from query_api.sequence_request import Edge, UsagePlace, UsageRequest, UsageSort
from schemas.tables import EVENTS, EventKey


class StoredSend(StoredEvent, array_like=True, frozen=True, gc=False):
    """A row as the statements here select it; ``id`` is the text of a UUID."""

    id: str

    @property
    def place(self) -> UsagePlace:
        """Where it stands in a list."""
        return UsagePlace(self.id, from_micros(self.micros), self.event_id)


SEND_COLUMNS: Final = f"{COLUMNS}, toString(id)"

_SORTED_BY: Final = {
    UsageSort.ID: "toUInt128(id)",
    UsageSort.EVENT_TIMESTAMP: "identity(timestamp)",
}


def sends(tenant: str, request: UsageRequest, send_id: UUID | None = None) -> Statement:
    """Select the `StoredSend` of a page, in the order of travel; with ``send_id``, of those only
    the one of that ``id``. The request's own ``event_id`` is not looked at.
    """
    where = _where(tenant, request, send_id)
    order = request.fetch_order
    match request.travel:
        case (UsagePlace() as place, _):
            where.add(*_beyond(place, "at", request.sort, order))
        case (Edge() as edge, backward) if (edge is Edge.END) != backward:
            where.add("0", {})
    where.parameters |= {"limit": request.limit, "offset": request.offset}
    direction = order.value.upper()
    return Statement(
        f"SELECT {SEND_COLUMNS} FROM {EVENTS} FINAL WHERE {where} "
        f"ORDER BY {_SORTED_BY[request.sort]} {direction}, event_id {direction} "
        "LIMIT {limit:UInt64} OFFSET {offset:UInt64}",
        where.parameters,
    )


def around(
    tenant: str,
    request: UsageRequest,
    first: UsagePlace | None,
    last: UsagePlace | None,
    send_id: UUID | None = None,
) -> Statement:
    """Select three counts, in one snapshot: of the whole list, of what comes before ``first`` and
    of what comes after ``last`` in the asked order. Without a place, the count is 0.
    """
    where = _where(tenant, request, send_id)
    counts = ["count()"]
    for name, place, order in (
        ("first", first, request.order.reversed),
        ("last", last, request.order),
    ):
        condition = "0"
        if place is not None:
            condition, parameters = _beyond(place, name, request.sort, order)
            where.parameters |= parameters
        counts.append(f"countIf({condition})")
    return Statement(
        f"SELECT {', '.join(counts)} FROM {EVENTS} FINAL WHERE {where}", where.parameters
    )


def send_by_event_id(tenant: str, event_id: str, key: EventKey | None) -> Statement:
    """Select the `StoredSend` of an event, as `plan.by_id` does."""
    return by_id(tenant, event_id, key, SEND_COLUMNS)


def _where(tenant: str, request: UsageRequest, send_id: UUID | None) -> Where:
    where = Where(tenant, Filters(event_name=request.event_type), request.window)
    if request.aliases:
        aliases = {"aliases": list(request.aliases)}
        where.add("external_customer_id IN {aliases:Array(String)}", aliases)
    if send_id is not None:
        where.add("id = {send_id:UUID}", {"send_id": str(send_id)})
    return where


def _beyond(
    place: UsagePlace, name: str, sort: UsageSort, order: Order
) -> tuple[str, dict[str, object]]:
    """Give the condition for what comes strictly after a place in an order, and its parameters,
    whose names begin with ``name``.
    """
    if sort is UsageSort.ID:
        value, parameter = f"toUInt128({{{name}_send:UUID}})", {f"{name}_send": place.send_id}
    else:
        value = f"{{{name}_timestamp:DateTime64(6, 'UTC')}}"
        parameter = {f"{name}_timestamp": datetime64(place.timestamp)}
    compare = "<" if order is Order.DESC else ">"
    condition = f"({_SORTED_BY[sort]}, event_id) {compare} ({value}, {{{name}_id:String}})"
    return condition, {**parameter, f"{name}_id": place.event_id}
