"""Good requests to every route, in every dialect: what is mutated."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from query_api import cursor, sequence_cursor
from query_api.request import Order, Position, Sort, Window
from query_api.sequence_request import UsagePlace, UsageSort

TENANT = "fuzzed"
MOMENT = datetime(2026, 3, 1, 12, 30, 0, 123456, tzinfo=UTC)
JSON = "application/json"
OPERATORS = [
    *("/livez", "/readyz", "/ingest/livez", "/ingest/readyz", "/query/livez", "/query/readyz"),
    *("/openapi.json", "/docs"),
]


@dataclass
class Request:
    """A request as it goes over the wire; ``parameters`` are of the URL, undecoded pairs.

    ``is_framed`` is False once its head or framing was touched: then silence, and aiohttp's own
    400, are good answers, too.
    """

    method: str
    path: str
    parameters: list[tuple[str, str]] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    is_framed: bool = True

    @property
    def target(self) -> str:
        """The path with its parameters, as the request line has it."""
        if not self.parameters:
            return self.path
        return self.path + "?" + "&".join(f"{name}={value}" for name, value in self.parameters)

    def wire(self) -> bytes:
        """The bytes of a well-framed request."""
        head = [f"{self.method} {self.target} HTTP/1.1", "Host: fuzz"]
        head += [f"{name}: {value}" for name, value in self.headers]
        if self.body or self.method in ("POST", "PUT"):
            head.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(head).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + self.body


@dataclass(frozen=True)
class Credentials:
    """The key of the tenant that is fuzzed, in its forms."""

    api_key: str
    key_id: str
    secret: str

    def headers(self) -> dict[str, tuple[str, str]]:
        basic = base64.b64encode(f"{self.key_id}:{self.secret}".encode()).decode()
        return {
            "key": ("x-api-key", self.api_key),
            "bearer": ("Authorization", f"Bearer {self.api_key}"),
            "basic": ("Authorization", f"Basic {basic}"),
        }


def event(**fields: Any) -> dict[str, Any]:
    """A good event of FlexPrice's dialect, with every field."""
    return {
        "event_name": "api.request",
        "external_customer_id": "acme",
        "event_id": "fuzz-1",
        "customer_id": "c-1",
        "source": "fuzz",
        "timestamp": "2026-03-01T12:30:00.123456Z",
        "properties": {"bytes": 512, "nested": {"a": [1, 2.5, None, True, "é"]}, "": ""},
        **fields,
    }


def token(*, backward: bool = False, sort: Sort = Sort.TIMESTAMP) -> str:
    """A good cursor of FlexPrice's list."""
    at = cursor.Cursor(
        position=Position("api.request", MOMENT, "fuzz-1"),
        backward=backward,
        sort=sort,
        order=Order.DESC,
        window=Window(None, MOMENT),
    )
    return cursor.encode(at, TENANT)


def usage_token() -> str:
    """A good cursor of Sequence's list."""
    place = UsagePlace("01957d5c-0000-7000-8000-000000000000", MOMENT, "fuzz-2")
    return sequence_cursor.encode(place, tenant=TENANT, sort=UsageSort.ID, order=Order.DESC)


def good_requests(credentials: Credentials) -> list[Request]:
    """At least one of each call; the headers hold a good key."""
    key, bearer, basic = credentials.headers().values()
    typed = ("Content-Type", JSON)
    usage_event = {
        "customerEventId": "fuzz-2",
        "customerAlias": "acme",
        "eventType": "api.request",
        "eventTimestamp": "2026-03-01T12:30:00.000Z",
        "eventProperties": {"bytes": 512, "list": [1, "two", {"three": 3}]},
    }
    cloud_event = {
        "specversion": "1.0",
        "id": "fuzz-3",
        "source": "/fuzz",
        "type": "api.request",
        "subject": "acme",
        "time": "2026-03-01T12:30:00Z",
        "datacontenttype": JSON,
        "data": {"bytes": 512},
    }
    unnamed = {"event_name": "n", "external_customer_id": "c"}
    retried = ("Idempotency-Key", "fuzz")
    lines = [event(event_id=f"fuzz-line-{number}") for number in range(5)]
    query = {
        "external_customer_id": "acme",
        "event_name": "api.request",
        "source": "fuzz",
        "start_time": "2026-03-01T00:00:00Z",
        "end_time": "2026-03-02T00:00:00+02:00",
        "property_filters": {"bytes": ["512", "1024"]},
        "page_size": 5,
        "sort": "timestamp",
        "order": "desc",
        "count_total": False,
        "iter_last_key": token(),
    }
    sending = [
        ("/v1/events", event(), [key, typed]),
        ("/v1/events", unnamed, [bearer, typed, retried]),
        ("/v1/events/bulk", {"events": lines}, [key, typed]),
        ("/v1/events/bulk", [unnamed, *lines], [key, typed, retried]),
        ("/api/usage-events", usage_event, [basic, typed, ("Sequence-Version", "2024-07-30")]),
        ("/api/v1/events", cloud_event, [key, ("Content-Type", "application/cloudevents+json")]),
        (
            "/api/v1/events",
            [cloud_event, {**cloud_event, "id": "fuzz-4"}],
            [bearer, ("Content-Type", "application/cloudevents-batch+json")],
        ),
        ("/v1/events/query", query, [key, typed]),
        ("/v1/events/query", {"page_size": 3}, [key, typed]),
    ]
    requests = [
        Request("POST", path, headers=headers, body=json.dumps(body).encode())
        for path, body, headers in sending
    ]
    ndjson = "\n".join(map(json.dumps, lines)).encode()
    requests += [
        Request(
            "POST",
            "/v1/events/bulk",
            parameters=[("partial", "true")],
            headers=[key, ("Content-Type", "application/x-ndjson")],
            body=ndjson,
        ),
        Request(
            "POST",
            "/api/v1/events",
            headers=[
                key,
                typed,
                *(("ce-" + name, str(cloud_event[name])) for name in ("specversion", "id")),
                *(("ce-" + name, str(cloud_event[name])) for name in ("source", "type", "subject")),
                ("ce-time", "2026-03-01T12:30:00Z"),
            ],
            body=b'{"bytes":512}',
        ),
    ]
    # Of what operators ask there is less to break.
    return 2 * (requests + reads(key, basic)) + [Request("GET", path) for path in OPERATORS]


def reads(key: tuple[str, str], basic: tuple[str, str]) -> list[Request]:
    """Every GET of a caller, its parameters all there."""
    listed = [
        ("external_customer_id", "acme"),
        ("event_name", "api.request"),
        ("source", "fuzz"),
        ("start_time", "2026-03-01T00:00:00Z"),
        ("end_time", quote("2026-03-02T00:00:00+02:00")),
        ("property_filters", quote("bytes:512,1024;nested.a:x")),
        ("page_size", "5"),
        ("sort", "timestamp"),
        ("order", "desc"),
        ("count_total", "true"),
        ("iter_last_key", token()),
    ]
    usage = [
        ("limit", "5"),
        ("customerAlias", "acme"),
        ("customerAlias", "other"),
        ("eventType", "api.request"),
        ("eventTimestampAfter", "2026-03-01T00:00:00Z"),
        ("eventTimestampBefore", "2026-03-02T00:00:00Z"),
        ("sortBy", "ID"),
        ("sortOrder", "DESC"),
        ("after", usage_token()),
    ]
    return [
        Request("GET", "/v1/events", listed, [key]),
        Request("GET", "/v1/events", [("iter_first_key", token(backward=True))], [key]),
        Request("GET", "/v1/events", [("event_id", "fuzz-1")], [key]),
        Request("GET", "/v1/events/lookup", [("id", "fuzz-1")], [key]),
        Request("GET", "/v1/events/" + quote("a/b é", safe=""), [], [key]),
        Request("GET", "/api/usage-events", usage, [basic, ("Sequence-Version", "2024-07-30")]),
    ]
