"""Sequence's dialect of reading, the other half: pages into the bodies of answers."""

from __future__ import annotations

import msgspec

from query_api import sequence_cursor
from query_api.request import from_micros
from query_api.sequence_listing import UsagePage
from query_api.sequence_plan import StoredSend
from query_api.sequence_request import Edge, UsagePlace, UsageRequest
from schemas.event import format_timestamp
from schemas.sequence import Pagination, UsageEvent, UsageEventsPage, shown_time


def listed(send: StoredSend, tenant: str) -> UsageEvent:
    """Give an event as the dialect shows it; its properties stay the text that was stored."""
    return UsageEvent(
        id=send.id,
        customer_event_id=send.event_id,
        customer_alias=send.external_customer_id,
        event_type=send.event_name,
        sequence_account_id=tenant,
        event_timestamp=shown_time(format_timestamp(from_micros(send.micros))),
        event_properties=msgspec.Raw(send.properties.encode()),
    )


def page_answer(page: UsagePage, request: UsageRequest, tenant: str) -> UsageEventsPage:
    """Give a page with a cursor each way in which there is another.

    An empty page lies behind the last event, or before the first if the walk goes back: the way
    back to what there is leads from that end.
    """
    after: UsagePlace | Edge | None = None
    before: UsagePlace | Edge | None = None
    if page.sends:
        after = page.sends[-1].place if page.following else None
        before = page.sends[0].place if page.preceding else None
    elif page.total:
        after, before = (Edge.START, None) if request.backward else (None, Edge.END)
    return UsageEventsPage(
        items=[listed(send, tenant) for send in page.sends],
        pagination=Pagination(
            after=_token(after, request, tenant),
            before=_token(before, request, tenant),
            total_result_size=page.total,
        ),
    )


def _token(at: UsagePlace | Edge | None, request: UsageRequest, tenant: str) -> str | None:
    if at is None:
        return None
    return sequence_cursor.encode(at, tenant=tenant, sort=request.sort, order=request.order)
