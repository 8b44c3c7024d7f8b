"""A model of Sequence's list in Python, and IDs of sends to fill it with."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from query_api.request import EPOCH
from tests.query_api.conftest import Api
from tests.query_api.rows import NO_SEND_ID, Row
from tests.support.usage_events import check_list


class Page(NamedTuple):
    """The IDs of a page, whether there is one before and one after it, and the size of the list."""

    event_ids: list[str]
    has_before: bool
    has_after: bool
    total: int

    @classmethod
    def of(cls, body: Any) -> Page:
        """Read an answer."""
        pagination = body["pagination"]
        return cls(
            [item["customerEventId"] for item in body["items"]],
            pagination["before"] is not None,
            pagination["after"] is not None,
            pagination["totalResultSize"],
        )


def slice_of(event_ids: Sequence[str], start: int, end: int) -> Page:
    """The page that shows this part of a list; what is beyond its ends is cut off."""
    count = len(event_ids)
    start, end = max(0, min(start, count)), max(0, min(end, count))
    if start == end:
        return Page([], start > 0, start == 0 and count > 0, count)
    return Page(list(event_ids[start:end]), start > 0, end < count, count)


def in_order(rows: Iterable[Row], sort_by: str, order: str) -> list[str]:
    """The IDs of events, each of which has an ID of its send, in the order of a list."""

    def key(row: Row) -> tuple[Any, bytes]:
        assert row.send_id != NO_SEND_ID
        by = (row.timestamp - EPOCH) if sort_by == "eventTimestamp" else row.send_id
        return by, row.event_id.encode()

    return [row.event_id for row in sorted(rows, key=key, reverse=order == "DESC")]


def send_id(ms: int, low: int) -> str:
    """A UUIDv7 of a time; those of one ``ms`` differ in their last bits only."""
    return str(uuid.UUID(int=(ms << 80) | (0x7 << 76) | (0b10 << 62) | low))


async def listed(api: Api, tenant: str, **parameters: str) -> dict[str, Any]:
    """A page, which must be a good answer."""
    answer = await api.usage(tenant, **parameters)
    assert answer.status == 200, answer.body
    check_list(answer.body)
    body: dict[str, Any] = answer.body
    return body


async def ids(api: Api, tenant: str, **parameters: str) -> list[str]:
    """The events of a page that must be the only one."""
    page = Page.of(await listed(api, tenant, **parameters))
    assert page == (page.event_ids, False, False, len(page.event_ids))
    return page.event_ids
