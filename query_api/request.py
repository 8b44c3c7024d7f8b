"""What a list was asked for, whichever dialect asked: typed, checked, with its window resolved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from query_api.filters import PropertyFilter

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# The last moment of the last whole hour that ClickHouse's DateTime holds.
LAST_MOMENT: Final = datetime(2106, 2, 7, 5, 59, 59, 999_999, UTC)


class Sort(StrEnum):
    """What a list is sorted by, before the ties: timestamp, then event ID."""

    TIMESTAMP = "timestamp"
    EVENT_NAME = "event_name"


class Order(StrEnum):
    """The direction of every part of the order, ties included."""

    ASC = "asc"
    DESC = "desc"

    @property
    def reversed(self) -> Order:
        """The other direction."""
        return Order.ASC if self is Order.DESC else Order.DESC


class Window(NamedTuple):
    """Both ends are inclusive, to the microsecond; None is no bound."""

    start: datetime | None
    end: datetime | None


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What must hold of an event. None filters nothing."""

    external_customer_id: str | None = None
    event_name: str | None = None
    event_id: str | None = None
    source: str | None = None
    properties: tuple[PropertyFilter, ...] = ()


class Position(NamedTuple):
    """A place in the order: the sort values of the event that stood there.

    ``event_name`` counts only where the list is sorted by it.
    """

    event_name: str
    timestamp: datetime
    event_id: str


class Travel(NamedTuple):
    """Where a page begins: just after ``position`` in the asked order, or just before it."""

    position: Position
    backward: bool


class ListRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a list. ``travel`` and an ``offset`` above 0 exclude each other."""

    filters: Filters
    window: Window
    sort: Sort
    order: Order
    page_size: int
    offset: int = 0
    travel: Travel | None = None
    count_total: bool = False

    @property
    def backward(self) -> bool:
        """Whether the page is fetched against the asked order, and turned round afterwards."""
        return self.travel is not None and self.travel.backward

    @property
    def fetch_order(self) -> Order:
        """The direction in which the rows are met."""
        return self.order.reversed if self.backward else self.order


class LookUp(NamedTuple):
    """One event by its ID. What is given beside it must fit, or there is no such event.

    ``by_client`` says whether FlexPrice's published clients may ask, which want a form of their
    own: the Python one names the customer, the TypeScript one puts the ID into the path.
    """

    event_id: str
    external_customer_id: str | None = None
    window: Window = Window(None, None)
    by_client: bool = False

    def fits(self, external_customer_id: str, micros: int) -> bool:
        """Whether an event of this customer and time is the one."""
        moment = from_micros(micros)
        start, end = self.window
        return (
            self.external_customer_id in (None, external_customer_id)
            and (start is None or start <= moment)
            and (end is None or moment <= end)
        )


def from_micros(micros: int) -> datetime:
    """Give the time that is so many microseconds after 1970, without rounding."""
    return EPOCH + timedelta(microseconds=micros)


def clamped(moment: datetime) -> datetime:
    """Give the nearest time that an event can have: ClickHouse wraps the hour of any other."""
    return min(max(moment, EPOCH), LAST_MOMENT)
