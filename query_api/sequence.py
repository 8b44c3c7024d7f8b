"""Sequence's dialect of reading: parameters of a URL into one checked request. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from query_api import sequence_cursor
from query_api.cursor import InvalidCursor
from query_api.parameters import at_fault, boolean, choice, integer, moment, single_values, url_time
from query_api.request import EPOCH, LAST_MOMENT, Order, Window
from query_api.sequence_request import UsageRequest, UsageSort, UsageTravel
from schemas.sequence import DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET, check_versions

_ALIAS: Final = "customerAlias"
_SINGLE: Final = (
    *("after", "before", "limit", "sortOrder", "sortBy", "offset"),
    *("unmappedAliasesOnly", "eventType", "eventId"),
    *("eventTimestampAfter", "eventTimestampBefore"),
)
_NOTHING: Final = Window(LAST_MOMENT, EPOCH)
_BEYOND_MICROSECONDS = re.compile(r"[.,]\d{6}\d*[1-9]")


def read_list(
    versions: Iterable[str], parameters: Iterable[tuple[str, str]], tenant: str
) -> UsageRequest:
    """Read the decoded parameters of ``GET /api/usage-events``, in the version of the dialect that
    the headers ask for, if they do.

    Raises ApiError, a 400 that names the header or parameter at fault.
    """
    check_versions(versions)
    parameters = list(parameters)
    aliases = tuple(dict.fromkeys(value for name, value in parameters if name == _ALIAS))
    if "" in aliases:
        raise at_fault(_ALIAS, "is empty; leave it out instead")
    given = single_values([pair for pair in parameters if pair[0] != _ALIAS], _SINGLE)
    # Tally maps no aliases to customers, so each is unmapped and the filter leaves out nothing.
    boolean("unmappedAliasesOnly", given.get("unmappedAliasesOnly", "false"))
    sort = choice("sortBy", given.get("sortBy"), UsageSort.ID)
    if sort is UsageSort.CREATED_AT:
        sort = UsageSort.ID
    order = _order(given)
    return UsageRequest(
        aliases=aliases,
        event_type=given.get("eventType"),
        event_id=given.get("eventId"),
        window=_window(given),
        sort=sort,
        order=order,
        limit=_between(given, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT),
        offset=_between(given, "offset", 0, 0, MAX_OFFSET),
        travel=_travel(given, tenant, sort, order),
    )


def _between(given: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    if name not in given:
        return default
    number = integer(name, given[name])
    if not least <= number <= most:
        raise at_fault(name, f"must be {least} to {most}")
    return number


def _order(given: Mapping[str, str]) -> Order:
    text = given.get("sortOrder", "DESC")
    if text.upper() not in ("ASC", "DESC"):
        raise at_fault("sortOrder", f"must be ASC or DESC, not {text[:64]!r}")
    return Order(text.lower())


def _travel(
    given: Mapping[str, str], tenant: str, sort: UsageSort, order: Order
) -> UsageTravel | None:
    if "after" in given and "before" in given:
        raise at_fault("before", "can't be combined with after: send one of the two")
    for name in ("after", "before"):
        if name in given:
            try:
                at = sequence_cursor.decode(given[name], tenant=tenant, sort=sort, order=order)
            except InvalidCursor as error:
                raise at_fault(name, str(error)) from None
            return UsageTravel(at, backward=name == "before")
    return None


def _window(given: Mapping[str, str]) -> Window:
    """Give the window whose inclusive ends, whole microseconds, are those next to the exclusive
    bounds that were given.
    """
    after_text, before_text = (
        url_time(given[name]) if name in given else None
        for name in ("eventTimestampAfter", "eventTimestampBefore")
    )
    after = moment("eventTimestampAfter", after_text)
    before = moment("eventTimestampBefore", before_text)
    if after is not None and before is not None and after > before:
        raise at_fault("eventTimestampAfter", "is after eventTimestampBefore")
    # No event is outside of these, where adding and ClickHouse's hours would overflow.
    if (after is not None and after >= LAST_MOMENT) or (before is not None and before < EPOCH):
        return _NOTHING
    start = end = None
    if after is not None and after >= EPOCH:
        start = after + timedelta.resolution
    if before is not None and before <= LAST_MOMENT:
        # Reading cut the digits beyond microseconds: with them, `before` itself is still inside.
        is_cut = before_text is not None and _BEYOND_MICROSECONDS.search(before_text)
        end = before if is_cut else before - timedelta.resolution
    if end is not None and end < (start or EPOCH):
        return _NOTHING
    return Window(start, end)
