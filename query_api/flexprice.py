"""FlexPrice's dialect of reading: parameters of a URL or a JSON body into one checked request.

Pure; the clock is passed in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from query_api import cursor, filters
from query_api.cursor import Cursor, InvalidCursor
from query_api.filters import PropertyFilter
from query_api.parameters import (
    at_fault,
    boolean,
    choice,
    integer,
    moment,
    no_parameter,
    single_values,
    url_time,
)
from query_api.request import (
    Filters,
    ListRequest,
    LookUp,
    Order,
    Sort,
    Window,
    clamped,
)
from schemas.errors import validation_error, why_malformed
from schemas.flexprice import (
    DEFAULT_PAGE_SIZE,
    GET_MAX_PAGE_SIZE,
    MAX_OFFSET,
    QUERY_MAX_PAGE_SIZE,
    EventsQuery,
    LookUpQuery,
)


def read_get(
    parameters: Iterable[tuple[str, str]], tenant: str, now: datetime, default_window: timedelta
) -> ListRequest:
    """Read the decoded parameters of ``GET /v1/events``.

    Raises ApiError, a 400 that names the parameter at fault.
    """
    given = single_values(parameters, EventsQuery.__struct_fields__)
    values: dict[str, Any] = dict(given)
    for name in ("page_size", "offset"):
        if name in given:
            values[name] = integer(name, given[name])
    if "count_total" in given:
        values["count_total"] = boolean("count_total", given["count_total"])
    for name in ("start_time", "end_time"):
        if name in given:
            values[name] = url_time(given[name])
    properties: tuple[PropertyFilter, ...] = ()
    if "property_filters" in values:
        try:
            properties = filters.parse(values.pop("property_filters"))
        except ValueError as error:
            raise at_fault("property_filters", str(error)) from None
    return _resolve(
        EventsQuery(**values),
        properties,
        tenant=tenant,
        now=now,
        default_window=default_window,
        max_page_size=GET_MAX_PAGE_SIZE,
        counts_by_default=False,
    )


def read_query(body: bytes, tenant: str, now: datetime, default_window: timedelta) -> ListRequest:
    """Read the body of ``POST /v1/events/query``.

    Raises ApiError, a 400 that names the parameter at fault.
    """
    query = _decode(body)
    try:
        properties = filters.check(query.property_filters or {})
    except ValueError as error:
        raise at_fault("property_filters", str(error)) from None
    return _resolve(
        query,
        properties,
        tenant=tenant,
        now=now,
        default_window=default_window,
        max_page_size=QUERY_MAX_PAGE_SIZE,
        counts_by_default=True,
    )


def read_look_up(parameters: Iterable[tuple[str, str]]) -> LookUp:
    """Read the parameters of ``GET /v1/events/lookup``: an ID, and what the event must fit.

    Raises ApiError, a 400 that names the parameter at fault.
    """
    values = single_values(parameters, LookUpQuery.__struct_fields__)
    if "id" not in values:
        raise at_fault("id", "is required")
    start, end = (
        moment(name, url_time(values[name])) if name in values else None
        for name in ("start_time", "end_time")
    )
    customer = values.get("external_customer_id")
    return LookUp(values["id"], customer, Window(start, end), by_client=customer is not None)


def _resolve(
    query: EventsQuery,
    properties: tuple[PropertyFilter, ...],
    *,
    tenant: str,
    now: datetime,
    default_window: timedelta,
    max_page_size: int,
    counts_by_default: bool,
) -> ListRequest:
    for name in ("external_customer_id", "event_name", "event_id", "source"):
        if getattr(query, name) == "":
            raise at_fault(name, "is empty; leave it out instead")
    page_size = _whole(
        "page_size", DEFAULT_PAGE_SIZE if query.page_size is None else query.page_size
    )
    if page_size < 1:
        raise at_fault("page_size", f"must be at least 1, not {page_size}")
    offset = _whole("offset", query.offset or 0)
    if not 0 <= offset <= MAX_OFFSET:
        raise at_fault("offset", f"must be 0 to {MAX_OFFSET}; to go further, use a cursor")
    sort = choice("sort", query.sort, Sort.TIMESTAMP)
    order = choice("order", query.order, Order.DESC)
    start = moment("start_time", query.start_time)
    end = moment("end_time", query.end_time)
    if start is not None and end is not None and start > end:
        raise at_fault("start_time", "is after end_time")
    came_from = _read_cursor(query, tenant, sort, order)
    if came_from is not None:
        if offset:
            raise at_fault("offset", "can't be combined with a cursor")
        start, end = start or came_from.window.start, end or came_from.window.end
    counts = counts_by_default if query.count_total is None else query.count_total
    return ListRequest(
        filters=Filters(
            external_customer_id=query.external_customer_id,
            event_name=query.event_name,
            event_id=query.event_id,
            source=query.source,
            properties=properties,
        ),
        window=_window(
            start,
            end,
            None if query.event_id is not None and start is None else default_window,
            now,
        ),
        sort=sort,
        order=order,
        page_size=min(page_size, max_page_size),
        offset=offset,
        travel=None if came_from is None else came_from.travel,
        count_total=counts,
    )


def _window(
    start: datetime | None, end: datetime | None, default: timedelta | None, now: datetime
) -> Window:
    """Fill in what was not given; without a ``default``, nothing is."""
    start, end = start and clamped(start), end and clamped(end)
    if default is not None:
        end = end or now
        start = start or clamped(end - default)
    return Window(start, end)


def _read_cursor(query: EventsQuery, tenant: str, sort: Sort, order: Order) -> Cursor | None:
    """Read the token in either parameter: what it does was decided when it was issued."""
    found: Cursor | None = None
    for name in ("iter_last_key", "iter_first_key"):
        text = getattr(query, name)
        if text is None:
            continue
        try:
            read = cursor.decode(text, tenant=tenant, sort=sort, order=order)
        except InvalidCursor as error:
            raise at_fault(name, str(error)) from None
        if found is not None and read != found:
            raise at_fault(name, "conflicts with iter_last_key: send one of the two")
        found = read
    return found


_PATH = re.compile(r"(.*) - at `(?:key in )?\$\.?([^.\[`]*).*`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)

_decoder = msgspec.json.Decoder(EventsQuery)


def _whole(name: str, number: float) -> int:
    if not float(number).is_integer():
        raise at_fault(name, f"must be an integer, not {number}")
    return int(number)


def _decode(body: bytes) -> EventsQuery:
    try:
        body.decode()
        return _decoder.decode(body)
    except UnicodeDecodeError as error:
        raise validation_error(f"the body is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise validation_error("the body is nested too deep") from None
    except msgspec.ValidationError as error:
        text = str(error)
        if unknown := _UNKNOWN.match(text):
            raise no_parameter(unknown[1]) from None
        placed = _PATH.fullmatch(text)
        if placed is not None and placed[2]:
            reason = placed[1].replace("`float | null`", "an integer or null")
            raise at_fault(placed[2], reason) from None
        raise validation_error(f"the body: {text}") from None
    except msgspec.DecodeError as error:
        raise validation_error(why_malformed(body, str(error))) from None
