"""Events that can't be taken: a clear 400 or 413, and nothing of them is stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.pipeline.client import Tenant, ago, assert_refused, event, new_tenant
from tests.support.stack import Stack

EVENTS = "/v1/events"
BULK = "/v1/events/bulk"
GOOD = json.dumps(event()).encode()


def raw(field: str, value: str) -> bytes:
    """A good event with one more field, whose value is this JSON text."""
    return GOOD[:-1] + f',"{field}":{value}}}'.encode()


def changed(**fields: Any) -> bytes:
    return json.dumps(event(**fields)).encode()


def without(field: str) -> bytes:
    return json.dumps({name: value for name, value in event().items() if name != field}).encode()


NOT_JSON = {
    "empty": b"",
    "blank": b" \n",
    "cut short": GOOD[:-1],
    "two documents": GOOD + GOOD,
    "single quotes": b"{'event_name':'call','external_customer_id':'acme'}",
    "not UTF-8": b'{"event_name":"\xff","external_customer_id":"acme"}',
    "UTF-16": json.dumps(event()).encode("utf-16"),
    "NaN": raw("properties", '{"a":NaN}'),
    "Infinity": raw("properties", '{"a":Infinity}'),
    "minus Infinity": raw("properties", '{"a":[-Infinity]}'),
    "lone surrogate in the ID": raw("event_id", '"\\ud800"'),
    "lone surrogate in a property": raw("properties", '{"a":"x\\udfffy"}'),
    "lone surrogate in a property's name": raw("properties", '{"\\ud800":1}'),
    "100,000 levels": raw("properties", '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"),
}

NO_OBJECT = {"array": b"[]", "text": b'"call"', "number": b"1", "null": b"null", "true": b"true"}

BAD_FIELDS = {
    "no event_name": (without("event_name"), "event_name"),
    "no external_customer_id": (without("external_customer_id"), "external_customer_id"),
    **{
        f"{field} {what}": (changed(**{field: value}), field)
        for field in ("event_name", "external_customer_id", "event_id")
        for what, value in {"empty": "", "5000 long": "x" * 5000}.items()
    },
    **{
        f"{field} a {type(value).__name__}": (changed(**{field: value}), field)
        for field in ("event_name", "external_customer_id", "event_id", "customer_id", "source")
        for value in (5, 1.5, True, [], {})
    },
    **{
        f"{field} null": (changed(**{field: None}), field)
        for field in ("event_name", "external_customer_id")
    },
    **{f"{field} 5000 long": (changed(**{field: "x" * 5000}), field) for field in ("source",)},
    **{
        f"timestamp {value!r}": (changed(timestamp=value), "timestamp")
        for value in (
            "",
            "now",
            "tomorrow",
            1700000000,
            "1700000000",
            True,
            "2026-01-02",
            "2026-01-02T03:04:05",
            "2024-02-30T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-01-01T25:00:00Z",
            "2024-01-01T00:61:00Z",
            "2024-01-01T00:00:00+24:00",
            "2024-01-01T00:00:00Z and more",
            "2024-01-01T00:00:00Z\0and more",
            "1900-01-01T00:00:00Z",
            "1969-12-31T23:59:59.999999Z",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59-14:00",
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
        )
    },
    "timestamp 3 days ahead": (changed(timestamp=ago(days=-3)), "timestamp"),
    "timestamp 16 years back": (changed(timestamp=ago(days=16 * 366)), "timestamp"),
    **{
        f"properties {value}": (raw("properties", value), "properties")
        for value in ("[]", '"text"', "5", "true", '[{"a":1}]', '"{}"')
    },
    "a number over every double": (raw("properties", '{"a":1e999}'), "properties"),
    "a number under every double": (raw("properties", '{"a":{"b":[-1e999]}}'), "properties"),
    "33 levels": (raw("properties", '{"a":' * 33 + "1" + "}" * 33), "properties"),
    "33 levels of arrays": (
        raw("properties", '{"a":' + "[" * 32 + "]" * 32 + "}"),
        "properties",
    ),
    "over 64 KiB": (raw("properties", '{"a":"' + "x" * 65_536 + '"}'), "properties"),
    "over 64 KiB in UTF-8": (raw("properties", '{"a":"' + "é" * 33_000 + '"}'), "properties"),
}


def in_bulk(bad: bytes) -> bytes:
    """One good event, then this."""
    return b'{"events":[' + GOOD + b"," + bad + b"]}"


@pytest.fixture(scope="module")
def tenant(stack: Stack) -> Tenant:
    return new_tenant(stack, "bad-input")


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_a_body_that_is_not_json_is_a_400(tenant: Tenant, body: bytes) -> None:
    """What is not JSON text in UTF-8 is refused with a message about the body."""
    assert_refused(tenant.request("POST", EVENTS, body), 400, "body")
    assert_refused(tenant.request("POST", BULK, in_bulk(body) if body else body), 400, "body")


@pytest.mark.parametrize("body", NO_OBJECT.values(), ids=NO_OBJECT)
def test_an_event_that_is_no_object_is_a_400(tenant: Tenant, body: bytes) -> None:
    """An event is a JSON object and nothing else, alone and in a bulk."""
    assert_refused(tenant.request("POST", EVENTS, body), 400, "object")
    error = assert_refused(tenant.request("POST", BULK, in_bulk(body)), 400, "object")
    assert [bad["index"] for bad in error["details"]["errors"]] == [1]


@pytest.mark.parametrize(("body", "field"), BAD_FIELDS.values(), ids=BAD_FIELDS)
def test_a_bad_field_is_a_400_that_names_it(tenant: Tenant, body: bytes, field: str) -> None:
    """A bad field is named, and in a bulk its event's index too."""
    assert_refused(tenant.request("POST", EVENTS, body), 400, field)
    error = assert_refused(tenant.request("POST", BULK, in_bulk(body)), 400, field, "1")
    (bad,) = error["details"]["errors"]
    assert (bad["index"], bad["field"]) == (1, field)


@pytest.mark.parametrize("path", [EVENTS, BULK])
def test_a_body_over_32_mib_is_a_413(tenant: Tenant, path: str) -> None:
    """A body of 33 MiB is refused by both calls, with a message that says the limit."""
    body = b'{"events":[' + raw("properties", '{"a":"' + "x" * (33 << 20) + '"}') + b"]}"
    assert_refused(tenant.request("POST", path, body), 413, "32 MiB")


@pytest.mark.parametrize("body", [{}, {"events": None}, {"events": {}}, {"events": "x"}, []])
def test_a_bulk_without_a_list_of_events_is_a_400(tenant: Tenant, body: Any) -> None:
    """The body of a bulk is an object whose `events` is a list."""
    assert_refused(tenant.post(BULK, body), 400, *(["events"] if body != [] else []))


@pytest.mark.parametrize("count", [0, 10_001])
def test_a_bulk_holds_1_to_10000_events(tenant: Tenant, count: int) -> None:
    """None and 10,001 events are a validation error that says both the count and the limit."""
    error = assert_refused(
        tenant.post(BULK, {"events": [event()] * count}), 400, "events", str(count), "10000"
    )
    assert error["code"] == "validation_error"


def test_one_bad_event_of_10000_refuses_them_all(tenant: Tenant) -> None:
    """A bulk is all or nothing, and names the index of the one bad event."""
    events = [event(f"many-{number}") for number in range(10_000)]
    del events[7000]["event_name"]
    error = assert_refused(tenant.post(BULK, {"events": events}), 400, "7000", "event_name")
    assert [bad["index"] for bad in error["details"]["errors"]] == [7000]


def test_every_bad_event_of_a_bulk_is_named(tenant: Tenant) -> None:
    """Several bad events are each named with index and field, in their order."""
    events = [event(f"several-{number}") for number in range(100)]
    events[3]["event_name"] = ""
    events[50]["timestamp"] = "now"
    events[99]["properties"] = []
    error = assert_refused(tenant.post(BULK, {"events": events}), 400)
    assert [(bad["index"], bad["field"]) for bad in error["details"]["errors"]] == [
        (3, "event_name"),
        (50, "timestamp"),
        (99, "properties"),
    ]
    assert all(bad["field"] in bad["message"] for bad in error["details"]["errors"])


def test_nothing_of_what_was_refused_is_stored(stack: Stack) -> None:
    """After every refused request here, a good event is the tenant's only one, of any time."""
    tenant = new_tenant(stack, "bad-input-stores-nothing")
    bodies = [*NOT_JSON.values(), *NO_OBJECT.values(), *(body for body, _ in BAD_FIELDS.values())]
    for body in bodies:
        tenant.request("POST", EVENTS, body)
        tenant.request("POST", BULK, in_bulk(body))
    many = [event(f"many-{number}") for number in range(10_001)]
    tenant.post(BULK, {"events": many})
    many[7000] = {}
    tenant.post(BULK, {"events": many[:-1]})
    good = tenant.send(event("good"))
    tenant.wait_for(good)
    stack.wait_until_stored()
    assert set(tenant.everything()) == {good}
    assert tenant.lookup("many-0").status == 404
    assert json.loads(stack.tally("status", "--json").stdout)["events"][tenant.name] == 1


def test_what_is_just_within_the_limits_is_taken(tenant: Tenant) -> None:
    """The largest properties, the deepest nesting and the furthest times are good events."""
    deepest: Any = 1
    for _ in range(32):
        deepest = {"a": deepest}
    year = datetime.now(UTC).year
    events = [
        event("largest", properties={"a": "x" * (65_536 - 16)}),
        event("deepest", properties=deepest),
        event("longest-" + "x" * 504, event_name="n" * 255, external_customer_id="c" * 255),
        event("ahead", timestamp=ago(hours=-23)),
        event("back", timestamp=f"{year - 14}-01-01T00:00:00Z"),
    ]
    tenant.send_bulk(events)
    tenant.wait_for(*(sent["event_id"] for sent in events))
    stored = tenant.everything()
    for sent in events:
        assert stored[sent["event_id"]]["properties"] == sent.get("properties", {})
    assert datetime.fromisoformat(stored["ahead"]["timestamp"]) > datetime.now(UTC) + timedelta(
        hours=22
    )
