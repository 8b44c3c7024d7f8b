"""Reading everything back through the HTTP API, as a client would."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from tests.support.stack import Stack

_FIELDS = ("event_name", "external_customer_id", "source", "timestamp", "properties")


def query(stack: Stack, **wanted: Any) -> dict[str, Any]:
    """POST /v1/events/query as the first tenant."""
    request = urllib.request.Request(
        f"{stack.url}/v1/events/query", json.dumps(wanted).encode(), stack.headers
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        page: dict[str, Any] = json.load(answer)
        return page


def walk(stack: Stack, *, page_size: int = 1000, **wanted: Any) -> list[dict[str, Any]]:
    """Every event of a walk over pages, in the order in which they came."""
    events: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = query(stack, page_size=page_size, count_total=False, **wanted, **cursor)
        events += page["events"]
        if not page["has_more"]:
            return events
        cursor = {"iter_last_key": page["iter_last_key"]}


def as_sent(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The events by ID, in the form in which they were sent; none may come twice."""
    found = {event["id"]: {name: event[name] for name in _FIELDS} for event in events}
    assert len(found) == len(events), "an event ID came twice"
    return {event_id: {"event_id": event_id, **event} for event_id, event in found.items()}
