"""Events on their way in while things fail, and what must stand in the table afterwards.

`Traffic` makes sends of which some supersede earlier ones; `Sender` sends them one after the other
and keeps the model; `table` reads everything back, all fields, past every service.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

from schemas.tables import READ_SETTINGS
from tests.support.services import Services

Event = dict[str, Any]
Model = dict[str, Event]

_START = datetime(2026, 3, 1, tzinfo=UTC)
_ANSWER_S = 15.0

T = TypeVar("T")


def sized(short: T, full: T) -> T:
    """Give the figure for everyday runs, or with TALLY_TEST_FULL=1 the one that is promised."""
    return full if os.environ.get("TALLY_TEST_FULL") == "1" else short


class Answer(NamedTuple):
    """What the gateway said; status 0 if it said nothing."""

    status: int
    body: Any
    retry_after: str | None
    seconds: float

    @property
    def outcome(self) -> str | None:
        """What a 503 says of the events."""
        details = (self.body or {}).get("details") or {}
        outcome: str | None = details.get("outcome")
        return outcome


class Client:
    """One connection to a gateway; a new one after each failure."""

    def __init__(self, services: Services) -> None:
        self._at = urlsplit(services.gateway_url).netloc
        self._headers = {"x-api-key": services.key.api_key, "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection(self._at, timeout=_ANSWER_S)

    def send(self, events: list[Event], **headers: str) -> Answer:
        """Send a bulk, once."""
        body = json.dumps({"events": events}).encode()
        started = time.monotonic()
        try:
            self._connection.request("POST", "/v1/events/bulk", body, {**self._headers, **headers})
            answer = self._connection.getresponse()
            said = json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            self.close()
            return Answer(0, None, None, time.monotonic() - started)
        seconds = time.monotonic() - started
        return Answer(answer.status, said, answer.getheader("Retry-After"), seconds)

    def close(self) -> None:
        self._connection.close()


class Traffic:
    """Makes bulks; of the events one in twenty was sent before, under another time, and one in
    three of those under another customer, one in three under another name.
    """

    def __init__(self, seed: int, *, prefix: str = "e", resent: float = 0.05) -> None:
        self._random = Random(seed)
        self._prefix = prefix
        self._resent = resent
        self._made = 0

    def bulk(self, count: int) -> list[Event]:
        """Make the next events."""
        return [self._next() for _ in range(count)]

    def _next(self) -> Event:
        random = self._random
        number = self._made
        if number and random.random() < self._resent:
            # Mostly one that may still be in the same batch, or in the hands of another consumer.
            back = random.choice([5, 500, 20_000, number])
            number = self._made - random.randint(1, min(back, self._made))
            return self._event(number, random.choice([0, 0, 1]), random.choice([0, 0, 1]))
        self._made += 1
        return self._event(number, 0, 0)

    def _event(self, number: int, other_customer: int, other_name: int) -> Event:
        random = self._random
        moment = _START + timedelta(microseconds=random.randrange(3 * 86_400_000_000))
        return {
            "event_id": f"{self._prefix}/{number}",
            "event_name": f"name {number % 7}" + " again" * other_name,
            "external_customer_id": f"customer {(number + other_customer) % 1000}",
            "customer_id": "",
            "source": ["web", "app", ""][number % 3],
            "timestamp": f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z",
            "properties": {"bytes": random.randrange(2**60), "path": f"/v{number % 9}/é"},
        }


class Sender(threading.Thread):
    """Sends bulks one after the other, each again and again until it is acknowledged, so that the
    last acknowledged send of an ID is the last appended.

    It sends ``count`` events, and goes on after that until `finish` is called.
    """

    def __init__(
        self,
        services: Services,
        traffic: Traffic,
        *,
        count: int,
        events_a_second: float,
        bulk: int = 200,
        on_answer: Callable[[Answer], None] = lambda answer: None,
    ) -> None:
        super().__init__(daemon=True)
        self.model: Model = {}
        self.acknowledged = 0
        self.retried = 0
        self._client = Client(services)
        self._traffic = traffic
        self._count = count
        self._pause_s = bulk / events_a_second
        self._bulk = bulk
        self._on_answer = on_answer
        self._may_end = threading.Event()
        self._must_end = threading.Event()

    def run(self) -> None:
        due = time.monotonic()
        while not (self._may_end.is_set() and self.acknowledged >= self._count):
            events = self._traffic.bulk(self._bulk)
            while (answer := self._client.send(events)).status != 202:
                self._on_answer(answer)
                self.retried += 1
                if self._must_end.wait(0.2):
                    return
            self.model.update((event["event_id"], event) for event in events)
            self.acknowledged += len(events)
            due = max(due + self._pause_s, time.monotonic() - 1)
            if self._must_end.wait(max(0.0, due - time.monotonic())):
                return
        self._client.close()

    def finish(self, within_s: float = 300) -> Model:
        """Let it come to its end, wait for that, and give the model."""
        self._may_end.set()
        self.join(within_s)
        assert not self.is_alive(), f"acknowledged {self.acknowledged} of {self._count} in time"
        return self.model

    def abort(self) -> None:
        """End it wherever it is; may be called after `finish`."""
        self._must_end.set()
        self.join(60)


class Once:
    """Many senders at once that send every bulk once, whatever the answer, and keep the answers."""

    def __init__(self, services: Services, *, senders: int = 6, bulk: int = 100) -> None:
        self.answers: list[tuple[list[str], Answer]] = []
        self._end = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._send,
                args=(Client(services), Traffic(seed=n, prefix=f"s{n}", resent=0), bulk),
                daemon=True,
            )
            for n in range(senders)
        ]

    def acknowledged(self) -> int:
        """How many bulks were."""
        return sum(answer.status == 202 for _, answer in self.answers)

    def ids(self, status: int, outcome: str | None = None) -> set[str]:
        """The event IDs that were answered so."""
        return {
            event_id
            for ids, answer in self.answers
            if (answer.status, answer.outcome) == (status, outcome)
            for event_id in ids
        }

    def refusals(self) -> list[Answer]:
        """Every answer but a 202."""
        return [answer for _, answer in self.answers if answer.status != 202]

    def _send(self, client: Client, traffic: Traffic, bulk: int) -> None:
        while not self._end.is_set():
            events = traffic.bulk(bulk)
            answer = client.send(events)
            self.answers.append(([event["event_id"] for event in events], answer))
            self._end.wait(0.03 if answer.status == 202 else 0.2)
        client.close()

    def __enter__(self) -> Once:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(60)


def ask(services: Services, query: str, **settings: str) -> str:
    """Ask ClickHouse itself; ``{tenant}`` in the query is the services' tenant."""
    parameters = urlencode({"query": query, "param_tenant": services.tenant, **settings})
    request = Request(f"{services.clickhouse.url}/?{parameters}", method="POST", data=b"")
    with urlopen(request, timeout=120) as answer:
        text: str = answer.read().decode()
        return text


def table(services: Services) -> Model:
    """Every event that a reader sees, all fields, as it was sent; none may be there twice."""
    fields = (
        "event_id", "event_name", "external_customer_id", "customer_id", "source", "timestamp"
    )  # fmt: skip
    answer = ask(
        services,
        f"SELECT {', '.join(fields)}, properties FROM events FINAL"
        " WHERE tenant = {tenant:String} FORMAT JSONCompactEachRow",
        date_time_output_format="iso",
        **READ_SETTINGS,
    )
    found: Model = {}
    for line in answer.splitlines():
        *values, properties = json.loads(line)
        event = dict(zip(fields, values, strict=True))
        assert event["event_id"] not in found, f"{event['event_id']} is there twice"
        found[event["event_id"]] = {**event, "properties": json.loads(properties)}
    return found


def assert_equal(found: Model, expected: Model) -> None:
    """Fail, with a few examples, unless both hold the same events, all fields."""
    missing = [expected[name] for name in expected.keys() - found.keys()]
    extra = [found[name] for name in found.keys() - expected.keys()]
    wrong = [
        (found[name], expected[name])
        for name in expected.keys() & found.keys()
        if found[name] != expected[name]
    ]
    counts = {"missing": len(missing), "too many": len(extra), "wrong": len(wrong)}
    assert not any(counts.values()), f"{counts}: {missing[:3]} {extra[:3]} {wrong[:3]}"
