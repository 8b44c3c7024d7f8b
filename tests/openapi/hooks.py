"""What schemathesis must know that no schema can say: times that are not too old, cursors that were
issued, values that depend on each other. `tests/pipeline/test_openapi.py` loads it.

Only data that is meant to be accepted is changed, and no check is turned off. One thing that they
find is left out: `filter_failure` says what and why.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, HookContext, Response, SerializationContext
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import AllowHeaderMismatch

from schemas.event import MAX_EVENT_ID_CHARS

_TENANT = os.environ["TALLY_TEST_TENANT"]
_CURSORS = ("iter_first_key", "iter_last_key", "after", "before")
_RANGES = (("start_time", "end_time"), ("eventTimestampAfter", "eventTimestampBefore"))
_NOW = datetime.now(UTC)

# A timestamp may be 15 years back and a day ahead.
times = st.datetimes(
    min_value=datetime(_NOW.year - 14, 1, 1),
    max_value=_NOW.replace(tzinfo=None),
    timezones=st.integers(-14 * 60, 14 * 60).map(
        lambda minutes: timezone(timedelta(minutes=minutes))
    ),
).map(datetime.isoformat)
schemathesis.openapi.format("date-time", times)

_words = st.text(st.characters(blacklist_characters="\\:;,", codec="utf-8"), min_size=1, max_size=8)
property_filters = st.dictionaries(
    _words, st.lists(_words, min_size=1, max_size=3), min_size=1, max_size=3
).map(lambda groups: ";".join(f"{key}:{','.join(values)}" for key, values in groups.items()))
schemathesis.openapi.format("property-filters", property_filters)

_lines = st.lists(
    st.fixed_dictionaries(
        {
            "event_name": st.text(min_size=1, max_size=20),
            "external_customer_id": st.text(min_size=1, max_size=20),
        },
        optional={"timestamp": times, "properties": st.dictionaries(st.text(), st.integers())},
    ).map(json.dumps),
    min_size=1,
    max_size=10,
).map("\n".join)
schemathesis.openapi.format("ndjson", _lines)


@schemathesis.serializer("application/x-ndjson")
def lines_as_they_are(context: SerializationContext, value: Any) -> Any:
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def map_case(context: HookContext, case: Case) -> Case:
    """Make what a schema allows, but the service can't accept, into what it can."""
    if case.headers and "X-Environment-ID" in case.headers:
        case.headers["X-Environment-ID"] = _TENANT
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return case
    for values in (case.query, case.body):
        if isinstance(values, dict):
            _make_consistent(values)
    if case.path.endswith("/api/v1/events"):
        for event in case.body if isinstance(case.body, list) else [case.body]:
            _shorten(event)
    return case


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case, response: Response) -> bool:
    """Whether it counts: not where `Allow` tells that GET of a path of POST is a look-up of the
    event with that ID, which a document has under ``/v1/events/{id}`` alone.
    """
    return not (
        isinstance(failure, AllowHeaderMismatch)
        and case.path in ("/v1/events/bulk", "/v1/events/query")
        and failure.undocumented_methods == ["GET"]
        and failure.missing_methods == []
    )


def _make_consistent(values: dict[str, Any]) -> None:
    for name in _CURSORS:
        values.pop(name, None)
    for first, last in _RANGES:
        if isinstance(values.get(first), str) and isinstance(values.get(last), str):
            values[first], values[last] = sorted(
                (values[first], values[last]), key=datetime.fromisoformat
            )


def _shorten(event: Any) -> None:
    """The event ID is the JSON text of both, and has a limit of its own."""
    if isinstance(event, dict) and isinstance(event.get("id"), str):
        while len(json.dumps([event["source"], event["id"]])) > MAX_EVENT_ID_CHARS:
            event["id"] = event["id"][: len(event["id"]) // 2] or "x"
            event["source"] = event["source"][: len(event["source"]) // 2] or "x"
