"""A tenant of the running stack, seen through nothing but HTTP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tests.support.stack import Stack, wait_until

READABLE_WITHIN_S = 15.0
WIDE = {"start_time": "0001-01-01T00:00:00Z", "end_time": "9999-12-31T23:59:59Z"}

# An ID may hold any character; these are the ones that something on the way might change.
ODD_IDS = [
    *("a/b", "/", "//", "a b", " ", " lead", "trail ", "%2F", "%", "a%00b", "..", ".", "../.."),
    *("lookup", "query", "bulk", "null", "0", "-1", "'", '"', "\\", "{}", "?", "#", "&a=b", "+"),
    *("😀", "😀" * 512, "é", "e\u0301", "\ufffd", "\uffff", "\U0001f468\u200d\U0001f469", "İ", "ß"),
    *("\0", "a\0b", "a\0", "\n", "a\nb", "\r\n", "\t", "\x7f", "\u2028", "x" * 512, "\0" * 512),
]


@dataclass(frozen=True)
class Answer:
    """What came back; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Tenant:
    """One tenant's view of the API. Every request has a connection of its own."""

    stack: Stack
    name: str
    key: str

    def request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send exactly this; without ``headers``, those of a JSON request with the key."""
        if headers is None:
            headers = {"x-api-key": self.key, "content-type": "application/json"}
        connection = http.client.HTTPConnection(urlsplit(self.stack.url).netloc, timeout=60)
        try:
            connection.request(method, target, body, headers)
            with connection.getresponse() as response:
                received = {name.lower(): value for name, value in response.getheaders()}
                return Answer(response.status, received, response.read())
        finally:
            connection.close()

    def post(self, target: str, value: Any) -> Answer:
        return self.request("POST", target, json.dumps(value).encode())

    def send(self, event: dict[str, Any]) -> str:
        """Send one event, insist on the 202, and give its ID."""
        answer = self.post("/v1/events", event)
        assert answer.status == 202, answer
        return str(answer.json["event_id"])

    def send_bulk(self, events: list[dict[str, Any]]) -> None:
        """Send these in one request and insist on the 202."""
        answer = self.post("/v1/events/bulk", {"events": events})
        assert answer.status == 202, answer

    def get_list(self, **parameters: Any) -> Answer:
        """GET /v1/events."""
        return self.request("GET", f"/v1/events?{urlencode(parameters, quote_via=quote)}")

    def page(self, **parameters: Any) -> dict[str, Any]:
        """The page of GET /v1/events, which must be a 200."""
        answer = self.get_list(**parameters)
        assert answer.status == 200, answer
        return dict(answer.json)

    def query(self, **body: Any) -> dict[str, Any]:
        """The page of POST /v1/events/query, which must be a 200."""
        answer = self.post("/v1/events/query", body)
        assert answer.status == 200, answer
        return dict(answer.json)

    def lookup(self, event_id: str) -> Answer:
        return self.request("GET", f"/v1/events/lookup?id={quote(event_id, safe='')}")

    def by_path(self, event_id: str) -> Answer:
        return self.request("GET", f"/v1/events/{quote(event_id, safe='')}")

    def everything(self, **filters: Any) -> dict[str, dict[str, Any]]:
        """Every event of any time that matches, by ID; none may come twice."""
        page = self.query(**WIDE, page_size=1000, **filters)
        assert not page["has_more"], "a walk is needed for this many"
        by_id = {event["id"]: event for event in page["events"]}
        assert len(by_id) == len(page["events"]) == page["total_count"]
        return by_id

    def walk(self, **parameters: Any) -> Iterator[list[Any]]:
        """The rows of each page of GET /v1/events, by iter_last_key until there is no more."""
        page = self.page(**parameters)
        while page["has_more"]:
            yield page["events"]
            page = self.page(**parameters, iter_last_key=page["iter_last_key"])
        yield page["events"]

    def can_read(self, event_id: str) -> bool:
        return self.lookup(event_id).status == 200

    def has_properties(self, event_id: str, properties: dict[str, Any]) -> bool:
        """Whether the event can be read and has exactly these properties."""
        answer = self.lookup(event_id)
        return answer.status == 200 and answer.json["properties"] == properties

    def wait_for(self, *event_ids: str) -> None:
        """Wait until all of these can be read."""
        for event_id in event_ids:
            wait_until(
                partial(self.can_read, event_id),
                within_s=READABLE_WITHIN_S,
                what=f"{event_id!r} can be read",
            )

    def wait_for_count(self, count: int) -> None:
        """Wait until the tenant has this many events."""
        wait_until(
            lambda: self.query(**WIDE, page_size=1)["total_count"] == count,
            within_s=READABLE_WITHIN_S,
            what=f"{count} events of {self.name}",
        )


def new_tenant(stack: Stack, name: str) -> Tenant:
    """A tenant of one's own, whose key every service knows already."""
    tenant = Tenant(stack, name, stack.new_key(name))
    wait_until(
        lambda: tenant.get_list().status == 200 and tenant.post("/v1/events", {}).status == 400,
        what=f"the key of {name} counts",
    )
    return tenant


def ago(**amount: float) -> str:
    """That long ago, in the form of a timestamp."""
    return stamp(datetime.now(UTC) - timedelta(**amount))


def stamp(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def event(event_id: str | None = None, **fields: Any) -> dict[str, Any]:
    """An event that is valid as it is."""
    made: dict[str, Any] = {"event_name": "call", "external_customer_id": "acme", **fields}
    if event_id is not None:
        made["event_id"] = event_id
    return made


def assert_refused(answer: Answer, status: int, *names: str) -> dict[str, Any]:
    """The dialect's error, in its flat and its nested shape, whose message has all the names."""
    shown = (answer.status, answer.headers, answer.body[:2000])
    assert answer.status == status, shown
    assert answer.headers["content-type"] == "application/json", shown
    error: dict[str, Any] = answer.json
    assert error["http_status_code"] == status, shown
    assert error["code"], shown
    assert error["success"] is False, shown
    assert error["error"] == {"message": error["message"], "internal_error": None}, shown
    for name in names:
        assert name in error["message"], (name, shown)
    return error
