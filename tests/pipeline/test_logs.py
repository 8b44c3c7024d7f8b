"""What the processes log of refusals: a line each, that says why, with nothing of what was sent."""

from __future__ import annotations

import json
import secrets
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from tests.pipeline.refusals import ONE_EVENT, Refused, of_readers, of_senders
from tests.support.clickhouse import clickhouse
from tests.support.kafka import Kafka
from tests.support.services import services
from tests.support.stack import Stack, running_stack, wait_until

MARK = "mark" + secrets.token_hex(8)
# The longest line of a refusal; a traceback is longer.
MAX_LINE_BYTES = 2_000


@dataclass
class Running:
    """Gateway and query service, which may be one process."""

    gateway_url: str
    query_url: str
    api_key: str
    tenant: str
    output: Callable[[], str]

    def send(self, request: Refused) -> Any:
        return request.send(self.query_url if request.reads else self.gateway_url, self.api_key)

    def lines(self) -> list[dict[str, Any]]:
        """Every line that is an object, which those of our services are."""
        return [json.loads(line) for line in self.output().splitlines() if line[:1] == "{"]

    def lines_of(self, request_id: str) -> list[dict[str, Any]]:
        """The lines that carry a request's ID, once there is one."""
        return wait_until(
            lambda: [line for line in self.lines() if line.get("request_id") == request_id],
            what=f"a line of {request_id}",
        )


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = {
        "TALLY_LOG_FORMAT": "json",
        "TALLY_GATEWAY_BODY_TIMEOUT_S": "1",
        "TALLY_GATEWAY_MAX_EVENTS_PER_S_PER_KEY": "1000",
    }
    with running_stack(tmp_path_factory.mktemp("logs"), settings=settings) as stack:
        yield stack


@pytest.fixture(scope="module")
def api(embedded: Stack) -> Running:
    """The embedded stack's process, under a key that `tally up` itself does not print."""
    running = Running(embedded.url, embedded.url, embedded.new_key("acme"), "acme", embedded.output)
    known = Refused(400, "POST", ONE_EVENT)
    wait_until(lambda: answers(running, known), what="the key counts")
    return running


def answers(running: Running, request: Refused) -> bool:
    """Whether it is refused as it should be, which it is not before the key is known."""
    try:
        running.send(request)
    except AssertionError:
        return False
    return True


@pytest.fixture(scope="module")
def apart(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The two services as production runs them, with no setting of their logs."""
    directory = tmp_path_factory.mktemp("apart")
    with (
        clickhouse(directory / "clickhouse") as engine,
        services(directory / "services", kafka.bootstrap_servers, engine.url) as made,
    ):
        made.start(consumers=0)
        key = made.key
        yield Running(
            made.gateway_url,
            made.query_url,
            key.api_key,
            key.record.tenant,
            lambda: made.gateway.output() + made.query.output(),
        )


@pytest.mark.parametrize("where", ["api", "apart"])
def test_each_refusal_is_one_line_without_what_was_sent(
    where: str, request: pytest.FixtureRequest
) -> None:
    """Method, route, status, code and the reason; the tenant and the key's ID where the key was
    good; and nowhere in the whole output a key, a secret, a parameter or a value.
    """
    running: Running = request.getfixturevalue(where)
    refused = [*of_senders(MARK), *of_readers(MARK)]
    for one in refused:
        running.send(one)
    running.lines_of(refused[-1].request_id)
    lines: dict[str, list[dict[str, Any]]] = {}
    for line in running.lines():
        lines.setdefault(line.get("request_id", ""), []).append(line)
    for one in refused:
        (line,) = lines[one.request_id]
        found = (line["status"], line["method"], line["route"])
        assert found == (one.status, one.method, one.expected_route), line
        assert line["message"].startswith("refused: "), line
        assert line["code"], line
        assert len(json.dumps(line)) < MAX_LINE_BYTES
        if one.good_key:
            assert line["tenant"] == running.tenant, line
            assert line["key_id"].startswith("key_"), line
        else:
            assert not {"tenant", "key_id"} & set(line), line
    output = running.output()
    assert MARK not in output
    assert running.api_key not in output
    assert "Traceback" not in output


@pytest.mark.parametrize("where", ["api", "apart"])
@pytest.mark.parametrize(
    "said",
    [
        f"{MARK}\r\n\r\n",
        f"POST /v1/events HTTP/1.1\r\nHost: a\r\n{MARK}\r\n\r\n",
        f"POST /v1/events HTTP/1.1\r\nContent-Length: {MARK}\r\n\r\n",
        f"POST /v1/events HTTP/1.1\r\nHost: a\r\nx-api-key: {MARK}\0\r\n\r\n",
        f"GET /{MARK} HTTP/9.{MARK}\r\n\r\n",
    ],
    ids=["no-request", "no-header", "no-length", "nul", "version"],
)
def test_what_is_no_http_is_a_plain_400_and_one_line(
    where: str, said: str, request: pytest.FixtureRequest
) -> None:
    """No traceback, and nothing of the bytes in the log."""
    running: Running = request.getfixturevalue(where)

    def told() -> int:
        return sum("it is no HTTP" in line["message"] for line in running.lines())

    before = told()
    at = urlsplit(running.gateway_url)
    with socket.create_connection((at.hostname or "", at.port or 0), timeout=10) as connection:
        connection.sendall(said.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split(b"\r\n")[0].split(b" ", 1)[1] == b"400 Bad Request"
    assert b"\r\nContent-Type: text/plain" in answer
    wait_until(lambda: told() > before, what="its line")
    assert told() == before + 1
    output = running.output()
    assert MARK not in output
    assert "Traceback" not in output


def test_a_slow_body_and_a_key_over_its_limit_are_lines_too(api: Running, embedded: Stack) -> None:
    """A 408 and a 429, each with the key's ID."""
    slow = Refused(408, "POST", ONE_EVENT, f'{{"{MARK}'.encode(), {"Content-Length": "100"})
    api.send(slow)
    greedy = Running(
        api.gateway_url, api.query_url, embedded.new_key("greedy"), "greedy", api.output
    )
    event = {"event_name": "n", "external_customer_id": "c", "properties": {"x": MARK}}
    bulk = json.dumps({"events": [event] * 9_000}).encode()
    headers = {"x-api-key": greedy.api_key, "Content-Type": "application/json"}

    def is_taken() -> bool:
        asked = Request(f"{api.gateway_url}/v1/events/bulk", bulk, headers)
        try:
            with urlopen(asked, timeout=20) as answer:
                return answer.status == 202
        except OSError:
            return False  # the key is not known there yet

    wait_until(is_taken, what="a bulk of more than a second's worth")
    refused = Refused(429, "POST", ONE_EVENT, json.dumps(event).encode())
    greedy.send(refused)
    for running, one in ((api, slow), (greedy, refused)):
        (line,) = api.lines_of(one.request_id)
        assert (line["status"], line["route"]) == (one.status, ONE_EVENT)
        assert (line["tenant"], line["key_id"][:4]) == (running.tenant, "key_")
    assert MARK not in api.output()


def test_a_flood_of_refusals_fills_no_disk(api: Running) -> None:
    """Of thousands of bad requests some hundred are logged, and that others were not."""
    before = len(api.output())
    request = b"GET /v1/events HTTP/1.1\r\nHost: a\r\nx-api-key: wrong\r\n\r\n"
    at = urlsplit(api.gateway_url)
    flood = 3_000
    with socket.create_connection((at.hostname or "", at.port or 0), timeout=30) as connection:
        answers = connection.makefile("rb")
        for _ in range(flood):
            connection.sendall(request)
            skip_answer(answers)
    said = api.output()[before:]
    lines = [json.loads(line) for line in said.splitlines() if line[:1] == "{"]
    assert len(lines) < flood / 5
    last = Refused(401, "GET", "/v1/events", headers={"x-api-key": "wrong"}, good_key=False)

    def tells_of_those_left_out() -> bool:
        last.send(api.query_url, "")  # after a while there is room for a line again
        return any(line.get("left_out") for line in api.lines())

    wait_until(tells_of_those_left_out, what="a line that counts those left out")


def skip_answer(answers: Any) -> None:
    """Read one answer with a Content-Length to its end."""
    length = 0
    while (line := answers.readline()) not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    answers.read(length)


def test_a_failure_is_told_in_one_line_and_not_to_the_client(api: Running, embedded: Stack) -> None:
    """A query that fails unforeseen is a 500 whose body has no internals; its traceback is in the
    line, under the ID that the client sees.
    """
    store = embedded.client["CLICKHOUSE_URL"]

    def do(statement: str) -> None:
        with urlopen(Request(store, statement.encode()), timeout=30) as answer:
            answer.read()

    do("RENAME TABLE events TO events_away")
    do("CREATE VIEW events AS SELECT * REPLACE (today() AS source) FROM events_away")
    failed = Refused(500, "GET", f"/v1/events?source={MARK}", reads=True)
    try:
        told = api.send(failed)
    finally:
        do("DROP VIEW events")
        do("RENAME TABLE events_away TO events")
    assert told["message"] == "something went wrong on our side"
    (line,) = api.lines_of(failed.request_id)
    assert (line["level"], line["status"], line["route"]) == ("error", 500, "/v1/events")
    assert "Traceback (most recent call last)" in line["exception"]
    assert (MARK in line["exception"], api.api_key in line["exception"]) == (False, False), line[
        "exception"
    ]
    away = Refused(503, "GET", "/v1/events", reads=True)
    do("RENAME TABLE events TO events_away")
    try:
        api.send(away)
    finally:
        do("RENAME TABLE events_away TO events")
    (line,) = api.lines_of(away.request_id)
    assert (line["level"], line["status"], "exception" in line) == ("warning", 503, False)


def test_lines_are_counted_by_kind(api: Running) -> None:
    """The whole run left lines of nothing but starts, stops and refusals."""
    kinds = Counter(line["logger"].partition(".")[0] for line in api.lines())
    assert set(kinds) <= {"ingest_gateway", "query_api", "aiohttp", "consumer", "deploy", "tally"}
