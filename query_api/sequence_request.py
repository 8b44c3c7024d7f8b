"""What a list of usage events was asked for in Sequence's dialect: typed and checked."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec

from query_api.request import Order, Window


class UsageSort(StrEnum):
    """What a list is sorted by, before the tie: the event ID.

    ``id`` is the order of creation, since each send of an event has a new one.
    """

    ID = "id"
    CREATED_AT = "createdAt"  # the same under another name; never of a `UsageRequest`
    EVENT_TIMESTAMP = "eventTimestamp"


class UsagePlace(NamedTuple):
    """A place in the order: what the event that stood there is sorted by. ``send_id`` is a UUID."""

    send_id: str
    timestamp: datetime
    event_id: str


class Edge(StrEnum):
    """A place before the first event of a list, or behind the last."""

    START = "start"
    END = "end"


class UsageTravel(NamedTuple):
    """Where a page begins: just after ``at`` in the asked order, or just before it."""

    at: UsagePlace | Edge
    backward: bool


class UsageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a list. ``offset`` counts from where the page would begin, in its direction.

    No ``aliases`` are all of them. ``event_id`` is what the sender or, for want of such an event,
    the send may be called.
    """

    aliases: tuple[str, ...] = ()
    event_type: str | None = None
    event_id: str | None = None
    window: Window = Window(None, None)
    sort: UsageSort = UsageSort.ID
    order: Order = Order.DESC
    limit: int
    offset: int = 0
    travel: UsageTravel | None = None

    @property
    def backward(self) -> bool:
        """Whether the page is fetched against the asked order, and turned round afterwards."""
        return self.travel is not None and self.travel.backward

    @property
    def fetch_order(self) -> Order:
        """The direction in which the rows are met."""
        return self.order.reversed if self.backward else self.order
