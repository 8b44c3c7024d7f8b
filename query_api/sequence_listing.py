"""Lists of usage events: which statements to run, and how their rows become one exact page."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final, NamedTuple
from uuid import UUID

from query_api import sequence_plan
from query_api.listing import Store, known_key
from query_api.request import EPOCH, Order, Window, from_micros
from query_api.sequence_plan import StoredSend
from query_api.sequence_request import Edge, UsagePlace, UsageRequest, UsageSort

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class UsagePage(NamedTuple):
    """``sends`` in the asked order, and how many events the list has in all, before the first of
    them, and after the last. Around an empty page nothing is counted but all.
    """

    sends: list[StoredSend]
    total: int
    preceding: int
    following: int


async def read_page(store: Store, tenant: str, request: UsageRequest) -> UsagePage:
    """Read a page, then what lies around it: two snapshots."""
    send_id: UUID | None = None
    if request.event_id is not None:
        send = await _find(store, tenant, request.event_id)
        if send is not None:
            return _page_of(send, request)
        if not _UUID.fullmatch(request.event_id):
            return UsagePage([], 0, 0, 0)
        send_id = UUID(request.event_id)
    newest: dict[str, StoredSend] = {}
    for row in await store.fetch(sequence_plan.sends(tenant, request, send_id), StoredSend):
        # While an event moves, both its rows may show for a moment: the older one goes.
        other = newest.get(row.event_id)
        if other is None or other.version < row.version:
            newest.pop(row.event_id, None)
            newest[row.event_id] = row
    sends = list(newest.values())
    if request.backward:
        sends.reverse()
    first, last = (sends[0].place, sends[-1].place) if sends else (None, None)
    statement = sequence_plan.around(tenant, request, first, last, send_id)
    (counts,) = await store.fetch(statement, tuple[int, int, int])
    return UsagePage(sends, *counts)


async def _find(store: Store, tenant: str, event_id: str) -> StoredSend | None:
    key = await known_key(store, tenant, event_id)
    for under in (key, None) if key is not None else (None,):
        statement = sequence_plan.send_by_event_id(tenant, event_id, under)
        if rows := await store.fetch(statement, StoredSend):
            return rows[0]
    return None


def _page_of(send: StoredSend, request: UsageRequest) -> UsagePage:
    """Give the page of a list that can hold this one event and no other. Pure: one snapshot."""
    fits = (
        (not request.aliases or send.external_customer_id in request.aliases)
        and request.event_type in (None, send.event_name)
        and _within(send, request.window)
    )
    is_here = fits and not request.offset and _is_ahead(send.place, request)
    return UsagePage([send] if is_here else [], int(fits), 0, 0)


def _within(send: StoredSend, window: Window) -> bool:
    moment = from_micros(send.micros)
    return (window.start is None or window.start <= moment) and (
        window.end is None or moment <= window.end
    )


def _is_ahead(place: UsagePlace, request: UsageRequest) -> bool:
    """Whether an event comes after the place that the page begins at, in the order of travel."""
    if request.travel is None:
        return True
    at, backward = request.travel
    if isinstance(at, Edge):
        return (at is Edge.END) == backward
    here, there = _sort_key(place, request.sort), _sort_key(at, request.sort)
    return here < there if request.fetch_order is Order.DESC else here > there


def _sort_key(place: UsagePlace, sort: UsageSort) -> tuple[int, bytes]:
    if sort is UsageSort.ID:
        return UUID(place.send_id).int, place.event_id.encode()
    return (place.timestamp - EPOCH) // timedelta.resolution, place.event_id.encode()
