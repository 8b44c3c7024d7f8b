"""Sequence's dialect on the whole running stack, beside FlexPrice's: two ways to one event."""

from __future__ import annotations

import base64
import json
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.pipeline.client import (
    READABLE_WITHIN_S,
    Answer,
    Tenant,
    ago,
    event,
    new_tenant,
)
from tests.pipeline.test_round_trip import PROPERTIES, exact
from tests.support.stack import Stack, wait_until
from tests.support.usage_events import check_event, check_list

PATH = "/api/usage-events"


def usage(event_id: str | None = None, **fields: Any) -> dict[str, Any]:
    """An event that is valid as it is."""
    made: dict[str, Any] = {"customerAlias": "acme", "eventType": "call", **fields}
    if event_id is not None:
        made["customerEventId"] = event_id
    return made


def create(tenant: Tenant, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    """Send one, insist on the 201 and its form, and give the answer."""
    headers = {"x-api-key": tenant.key, "content-type": "application/json", **headers}
    answer = tenant.request("POST", PATH, json.dumps(body).encode(), headers)
    assert answer.status == 201, answer
    check_event(answer.json)
    return dict(answer.json)


def get(tenant: Tenant, **parameters: Any) -> Answer:
    query = urlencode(parameters, doseq=True, quote_via=quote)
    return tenant.request("GET", f"{PATH}?{query}")


def listed(tenant: Tenant, **parameters: Any) -> list[dict[str, Any]]:
    """The items of a page, which must be a 200 in the right form."""
    answer = get(tenant, **parameters)
    assert answer.status == 200, answer
    check_list(answer.json)
    return list(answer.json["items"])


def wait_for(tenant: Tenant, item: dict[str, Any]) -> None:
    """Wait until exactly this is what the list has of the event."""
    wait_until(
        lambda: listed(tenant, eventId=item["customerEventId"]) == [item],
        within_s=READABLE_WITHIN_S,
        what=f"{item} can be read",
    )


@pytest.fixture(scope="module")
def tenant(stack: Stack) -> Tenant:
    return new_tenant(stack, "sequence")


def test_what_was_answered_is_what_is_listed(tenant: Tenant) -> None:
    """To the ID of the send; and FlexPrice's dialect reads the same event."""
    sent = usage("both", eventTimestamp=ago(hours=1), eventProperties={"length": 500})
    created = create(tenant, sent)
    assert {name: created[name] for name in sent} == sent
    assert created["sequenceAccountId"] == "sequence"
    wait_for(tenant, created)
    assert listed(tenant, eventId=created["id"]) == [created]
    read = tenant.lookup("both").json
    assert read == {
        "id": "both",
        "event_name": "call",
        "external_customer_id": "acme",
        "customer_id": None,
        "timestamp": sent["eventTimestamp"],
        "properties": {"length": 500},
        "source": None,
        "environment_id": "sequence",
    }


def test_both_dialects_share_their_ids(tenant: Tenant) -> None:
    """The last send of an ID stands, whichever way it came; each has an ID of its own."""
    first = create(tenant, usage("shared", eventTimestamp=ago(days=3)))
    wait_for(tenant, first)
    tenant.send(event("shared", event_name="mail", external_customer_id="other"))
    wait_until(
        lambda: tenant.lookup("shared").json["event_name"] == "mail",
        within_s=READABLE_WITHIN_S,
        what="the send through the other dialect",
    )
    (second,) = listed(tenant, eventId="shared")
    check_event(second)
    assert (second["eventType"], second["customerAlias"]) == ("mail", "other")
    assert second["id"] > first["id"], "made of a later time"
    assert listed(tenant, eventId=first["id"]) == []
    third = create(tenant, usage("shared"))
    wait_for(tenant, third)
    assert tenant.lookup("shared").json["event_name"] == "call"
    assert len({first["id"], second["id"], third["id"]}) == 3


def test_an_event_without_an_id_is_known_by_that_of_its_send(tenant: Tenant) -> None:
    """Absent or null: the ID that was made finds it in both dialects, and supersedes it."""
    for body in (usage(), usage(customerEventId=None)):
        created = create(tenant, body)
        assert created["customerEventId"] == created["id"]
        wait_for(tenant, created)
        assert tenant.lookup(created["id"]).status == 200
    again = create(tenant, usage(created["id"], eventType="again"))
    wait_for(tenant, again)
    assert again["id"] != created["id"]


def test_a_retry_under_its_key_counts_once(tenant: Tenant) -> None:
    """An Idempotency-Key makes one event of two requests; it is listed as the last one answered."""
    other = new_tenant(tenant.stack, "sequence-keyed")
    first, second = (create(other, usage(), **{"Idempotency-Key": "order 7"}) for _ in range(2))
    assert first["customerEventId"] == second["customerEventId"]
    assert first["id"] != second["id"]
    wait_for(other, second)
    assert listed(other) == [second]


def test_properties_come_back_as_they_were_sent(stack: Stack) -> None:
    """Values of any type, odd keys, integers beyond 2^64: equal to the last digit, in the answer
    to the create and in the list.
    """
    tenant = new_tenant(stack, "sequence-properties")
    for name, properties in PROPERTIES.items():
        body = json.dumps(usage(name))[:-1] + f',"eventProperties":{properties}}}'
        answer = tenant.request("POST", PATH, body.encode())
        assert answer.status == 201, answer
        assert exact(answer.body)["eventProperties"] == exact(properties)
    tenant.wait_for_count(len(PROPERTIES))
    page = exact(get(tenant, limit=100).body)
    read = {item["customerEventId"]: item["eventProperties"] for item in page["items"]}
    assert read == {name: exact(properties) for name, properties in PROPERTIES.items()}


def test_a_walk_meets_events_of_both_dialects_once(stack: Stack) -> None:
    """Newest send first, forth by ``after`` and back by ``before``, whatever their times are."""
    tenant = new_tenant(stack, "sequence-walk")
    tenant.send_bulk([event(f"bulk {number}", timestamp=ago(days=number)) for number in range(20)])
    created = [create(tenant, usage(f"one {number}")) for number in range(5)]
    tenant.wait_for_count(25)
    everything = [item["customerEventId"] for item in listed(tenant, limit=100)]
    assert len({*everything}) == 25
    assert {*everything[:5]} == {item["customerEventId"] for item in created}
    met: list[str] = []
    parameters: dict[str, Any] = {"limit": 4}
    for way in ("after", "before"):
        pages = []
        while True:
            body = get(tenant, **parameters).json
            check_list(body)
            assert body["pagination"]["totalResultSize"] == 25
            pages.append([item["customerEventId"] for item in body["items"]])
            token = body["pagination"][way]
            if token is None:
                break
            parameters = {"limit": 4, way: token}
        if way == "before":
            pages.reverse()
        met = [event_id for page in pages for event_id in page]
        assert met == everything
    assert len(met) == 25


def test_basic_auth_is_the_keys_id_and_secret(stack: Stack) -> None:
    """The pair of client.env sends and lists; another secret is a 401 that asks for Basic."""
    tenant = Tenant(stack, "first", stack.client["API_KEY"])
    pair = f"{stack.client['SEQUENCE_ID']}:{stack.client['SEQUENCE_SECRET']}"
    ask = partial(tenant.request, headers=None)
    for credentials, status in ((pair, 200), (pair + "x", 401), (f"key_no:{pair}", 401)):
        encoded = base64.b64encode(credentials.encode()).decode()
        headers = {"Authorization": f"Basic {encoded}", "content-type": "application/json"}
        for method in ("GET", "POST"):
            body = json.dumps(usage("basic")).encode() if method == "POST" else None
            answer = tenant.request(method, PATH, body, headers)
            assert answer.status == (201 if status == 200 and body else status), answer
            if status == 401:
                assert answer.headers["www-authenticate"] == 'Basic realm="Tally"'
                assert_refused(answer, 401)
    assert ask("GET", PATH).status == 200, "x-api-key is taken here, too"


def test_refusals_have_the_dialects_shape(tenant: Tenant) -> None:
    """Bad fields, parameters, versions and methods, each named in the one form of error."""
    for body in ({}, usage(""), usage(eventTimestamp="now"), {**usage(), "event_name": "x"}):
        assert_refused(tenant.post(PATH, body), 400, "field")
    for parameters in ({"limit": 0}, {"sortBy": "x"}, {"after": "x"}, {"page_size": 1}):
        assert_refused(get(tenant, **parameters), 400, *parameters)
    headers = {"x-api-key": tenant.key, "Sequence-Version": "2019-01-01"}
    for method in ("GET", "POST"):
        answer = tenant.request(method, PATH, b"{}" if method == "POST" else None, headers)
        assert_refused(answer, 400, "Sequence-Version")
    assert_refused(tenant.request("DELETE", PATH), 405)


def assert_refused(answer: Answer, status: int, *names: str) -> None:
    """The dialect's error, whose message and details have all the names."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    error = answer.json
    assert error["statusCode"] == status
    assert error["code"]
    assert set(error) <= {"code", "message", "statusCode", "details"}
    for name in names:
        assert name in json.dumps(error), (name, answer)
