"""Requests of all kinds that are refused, each with a marker where a secret or a value would be."""

from __future__ import annotations

import base64
import gzip
import http.client
import itertools
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

_numbers = itertools.count()


@dataclass
class Refused:
    """A request, what it must be answered with, and the pattern of the route that it meets.

    ``good_key`` says that it is sent under a good key, whose ID the line must have.
    """

    status: int
    method: str
    target: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    route: str | None = ""
    good_key: bool = True
    reads: bool = False
    request_id: str = field(default_factory=lambda: f"refused-{next(_numbers)}")

    def send(self, base_url: str, api_key: str) -> Any:
        """Send it; give the answer's JSON, once it has the status and the request's ID."""
        headers = {"Content-Type": "application/json", "X-Request-ID": self.request_id}
        if self.good_key:
            headers["x-api-key"] = api_key
        connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=20)
        try:
            connection.putrequest(self.method, self.target, skip_accept_encoding=True)
            sent = {**headers, **self.headers}
            if self.method in ("POST", "PUT", "DELETE"):
                sent.setdefault("Content-Length", str(len(self.body)))
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(self.body)
            with connection.getresponse() as answer:
                told = answer.read()
                assert answer.status == self.status, (self, answer.status, told)
                assert answer.getheader("X-Request-ID") == self.request_id, self
                return json.loads(told)
        finally:
            connection.close()

    @property
    def expected_route(self) -> str | None:
        """The pattern that the line must have."""
        return self.target.partition("?")[0] if self.route == "" else self.route


ONE_EVENT, LIST = "/v1/events", "/v1/events"
BULK, QUERY = "/v1/events/bulk", "/v1/events/query"
BY_ID = r"/v1/events/{id}"
SEQUENCE, CLOUDEVENTS = "/api/usage-events", "/api/v1/events"


def of_senders(mark: str) -> list[Refused]:
    """What the gateway refuses."""
    event = {"event_name": "n", "external_customer_id": "c", "properties": {"secret": mark}}
    good = json.dumps(event).encode()
    late = json.dumps({**event, "timestamp": mark}).encode()
    huge = json.dumps({**event, "properties": {"filler": mark * 20_000}}).encode()
    many = b'{"events":[' + b",".join([good, late, huge]) + b"]}"
    sequence = {"customerAlias": "c", "eventType": "n", "eventProperties": {"secret": mark}}
    cloud = {"specversion": "1.0", "id": mark, "source": mark, "type": "n", "data": {"x": mark}}
    basic = base64.b64encode(f"key_0123456789abcdef:{mark}".encode()).decode()
    post, plain = "POST", {"Content-Type": "text/plain"}
    strangers = [
        Refused(401, post, path, good, headers, good_key=False)
        for path in (ONE_EVENT, BULK, SEQUENCE, CLOUDEVENTS)
        for headers in (
            {},
            {"x-api-key": mark},
            {"Authorization": f"Bearer {mark}"},
            {"Authorization": f"Basic {basic}"},
            {"Authorization": f"Basic {mark}"},
        )
    ]
    return [
        *strangers,
        Refused(400, post, ONE_EVENT, good[:-1]),
        Refused(400, post, ONE_EVENT, good.replace(b"{", b"{'", 1)),
        Refused(400, post, ONE_EVENT, good + b"\xff"),
        Refused(400, post, ONE_EVENT, late),
        Refused(400, post, ONE_EVENT, huge),
        Refused(400, post, ONE_EVENT, json.dumps({**event, "event_name": [mark]}).encode()),
        Refused(400, post, ONE_EVENT, json.dumps({**event, "event_id": mark * 500}).encode()),
        Refused(400, post, ONE_EVENT, good, {"Idempotency-Key": mark * 20}),
        Refused(400, post, ONE_EVENT, mark.encode(), {"Content-Encoding": "gzip"}),
        Refused(400, post, ONE_EVENT, gzip.compress(good)[:-8], {"Content-Encoding": "gzip"}),
        Refused(415, post, ONE_EVENT, good, {"Content-Encoding": mark}),
        Refused(413, post, ONE_EVENT, b"", {"Content-Length": "999999999"}),
        Refused(403, post, ONE_EVENT, good, {"X-Environment-ID": mark}),
        Refused(400, post, BULK, many),
        Refused(400, post, f"{BULK}?{mark}={mark}", b"[]"),
        Refused(400, post, SEQUENCE, json.dumps({**sequence, "eventTimestamp": mark}).encode()),
        Refused(400, post, SEQUENCE, json.dumps(sequence).encode(), {"Sequence-Version": mark}),
        Refused(400, post, CLOUDEVENTS, json.dumps({**cloud, "time": mark}).encode()),
        Refused(400, post, CLOUDEVENTS, json.dumps({**cloud, "specversion": mark}).encode()),
        Refused(415, post, CLOUDEVENTS, json.dumps(cloud).encode(), plain),
        Refused(415, post, CLOUDEVENTS, b"", {"Content-Type": f"application/{mark}"}),
        Refused(404, post, f"/{mark}?{mark}", good, route=None, good_key=False),
        Refused(405, "PUT", f"{BULK}?x={mark}", good, route=None, good_key=False),
    ]


def of_readers(mark: str) -> list[Refused]:
    """What the query service refuses."""
    get, post = "GET", "POST"
    strangers = [
        Refused(401, get, f"{path}?event_id={mark}", headers=headers, good_key=False, reads=True)
        for path in (LIST, SEQUENCE)
        for headers in ({}, {"x-api-key": mark}, {"Authorization": f"Bearer {mark}"})
    ]
    wrong = {"start_time": mark, "page_size": 1}
    refused = [
        Refused(400, get, f"{LIST}?property_filters={mark}"),
        Refused(400, get, f"{LIST}?property_filters={mark}:a;{mark}:b"),
        Refused(400, get, f"{LIST}?page_size={mark}"),
        Refused(400, get, f"{LIST}?sort={mark}"),
        Refused(400, get, f"{LIST}?count_total={mark}"),
        Refused(400, get, f"{LIST}?start_time={mark}"),
        Refused(400, get, f"{LIST}?{mark}=1"),
        Refused(400, get, f"{LIST}?iter_last_key={mark}"),
        Refused(400, get, f"{LIST}?source=%ff{mark}"),
        Refused(400, get, f"{LIST}?source={mark}&source={mark}"),
        Refused(400, post, QUERY, json.dumps(wrong).encode()),
        Refused(400, post, QUERY, json.dumps({mark: 1}).encode()),
        Refused(400, post, QUERY, json.dumps({"sort": mark}).encode()),
        Refused(400, post, QUERY, json.dumps({"property_filters": {mark: mark}}).encode()),
        Refused(400, post, QUERY, mark.encode()),
        Refused(400, post, QUERY, mark.encode(), {"Content-Encoding": "gzip"}),
        Refused(415, post, QUERY, b"{}", {"Content-Encoding": mark}),
        Refused(413, post, QUERY, json.dumps({"source": mark * 200_000}).encode()),
        Refused(404, get, f"/v1/events/lookup?id={mark}"),
        Refused(404, get, f"/v1/events/{mark}", route=BY_ID),
        Refused(400, get, f"/v1/events/{mark}%ff", route=BY_ID),
        Refused(400, get, f"{SEQUENCE}?after={mark}"),
        Refused(400, get, f"{SEQUENCE}?limit={mark}"),
        Refused(400, get, f"{SEQUENCE}?{mark}=1"),
        Refused(403, get, LIST, headers={"X-Environment-ID": mark}),
        Refused(404, get, f"/v2/{mark}?{mark}", route=None, good_key=False),
        Refused(405, "DELETE", f"{QUERY}?x={mark}", route=None, good_key=False),
    ]
    for one in refused:
        one.reads = True
    return [*strangers, *refused]
