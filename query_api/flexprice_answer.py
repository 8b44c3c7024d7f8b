"""FlexPrice's dialect of reading, the other half: events and pages into the bodies of answers."""

from __future__ import annotations

import msgspec

from query_api import cursor
from query_api.cursor import Cursor
from query_api.listing import Page
from query_api.plan import StoredEvent
from query_api.request import ListRequest, LookUp, Position, from_micros
from schemas.event import format_timestamp
from schemas.flexprice import EventsPage, ListedEvent, LookedUpEvent


def listed(event: StoredEvent, tenant: str) -> ListedEvent:
    """Give an event as the dialect shows it; ``properties`` stays the text that was stored."""
    moment = from_micros(event.micros)
    timestamp = format_timestamp(moment)
    return ListedEvent(
        id=event.event_id,
        event_name=event.event_name,
        external_customer_id=event.external_customer_id,
        customer_id=event.customer_id or None,
        timestamp=timestamp if moment.microsecond else timestamp.replace(".000000Z", "Z"),
        properties=msgspec.Raw(event.properties.encode()),
        source=event.source or None,
        environment_id=tenant,
    )


def looked_up(event: StoredEvent, look_up: LookUp, tenant: str) -> ListedEvent:
    """Give an event as its look-up asked for it."""
    answer = listed(event, tenant)
    if not look_up.by_client:
        return answer
    return LookedUpEvent(**msgspec.structs.asdict(answer), event=answer)


def page_answer(page: Page, request: ListRequest, tenant: str) -> EventsPage:
    """Give a page with the cursors of its two ends."""
    first_key = last_key = None
    if page.events:
        first_key = _cursor(page.events[0], request, tenant, backward=True)
        last_key = _cursor(page.events[-1], request, tenant, backward=False)
    return EventsPage(
        events=[listed(event, tenant) for event in page.events],
        has_more=page.has_more,
        iter_first_key=first_key,
        iter_last_key=last_key,
        total_count=page.total_count,
        offset=request.offset,
    )


def _cursor(event: StoredEvent, request: ListRequest, tenant: str, *, backward: bool) -> str:
    position = Position(event.event_name, from_micros(event.micros), event.event_id)
    return cursor.encode(
        Cursor(
            position=position,
            backward=backward,
            sort=request.sort,
            order=request.order,
            window=request.window,
        ),
        tenant,
    )
