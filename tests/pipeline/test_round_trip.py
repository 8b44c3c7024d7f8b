"""What was sent comes back: every field, any properties, any ID, times to the microsecond."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from tests.pipeline.client import ODD_IDS, WIDE, Tenant, ago, event, new_tenant
from tests.support.stack import Stack

KEYS = {
    "id",
    "event_name",
    "external_customer_id",
    "customer_id",
    "timestamp",
    "properties",
    "source",
    "environment_id",
}
# As JSON text, since Python's own reading of it is what could hide a difference.
PROPERTIES = {
    "nothing": "{}",
    "null": '{"a":null}',
    "beyond 2^53": '{"a":9007199254740993,"b":-9007199254740993}',
    "beyond 2^64": '{"a":18446744073709551616,"b":123456789012345678901234567890}',
    "many digits": '{"a":0.12345678901234567890123,"b":1e308,"c":-1.5E-7,"d":-0.0}',
    "whole fraction": '{"a":1.0,"b":100,"c":1e2}',
    "odd key": '{"{\\"request_size\\"":512,"say \\"hi\\"":1,"\\\\":2,"":3," ":4}',
    "path-like keys": '{"a.b":1,"a":{"b":2},"a[0]":3,"$":4,"/":5}',
    "unicode": '{"città":"Zürich","😀":"👨\u200d👩","e\u0301":"\u2028\ufeff"}',
    "escapes": '{"a":"\\u00e9\\ud83d\\ude00\\/\\b\\f\\n\\r\\t\\"\\\\"}',
    "control characters": '{"a":"\\u0000\\u001f\\u007f","\\u0000":1}',
    "nesting": '{"a":{"b":[1,[2,[3,{"c":[]}]],{}],"d":{"e":{"f":null}}},"g":[[],{}]}',
    "every type": '{"a":true,"b":false,"c":null,"d":1,"e":1.5,"f":"x","g":[],"h":{}}',
    "texts like values": '{"a":"null","b":"1","c":"true","d":"{}","e":"NaN","f":"\\\\N"}',
    "own field names": '{"event_id":"x","tenant":"y","timestamp":1,"properties":{},"version":-1}',
    "many keys": json.dumps({f"key {number}": number for number in range(500)}),
    "long": json.dumps({"a": "é" * 30_000}, ensure_ascii=False),
    "deep": '{"a":' * 31 + "{}" + "}" * 31,
    "spaces": '{ "a" :\n[ 1 ,\t2 ] }',
}


def exact(text: str | bytes) -> Any:
    """JSON with each number as a decimal, so that no digit is lost in reading."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


@pytest.fixture(scope="module")
def tenant(stack: Stack) -> Tenant:
    tenant = new_tenant(stack, "round-trip")
    for name, properties in PROPERTIES.items():
        body = json.dumps(event(name))[:-1] + f',"properties":{properties}}}'
        answer = tenant.request("POST", "/v1/events", body.encode())
        assert answer.status == 202, answer
    lines = ",".join(
        json.dumps(event(f"bulk {name}"))[:-1] + f',"properties":{properties}}}'
        for name, properties in PROPERTIES.items()
    )
    answer = tenant.request("POST", "/v1/events/bulk", f'{{"events":[{lines}]}}'.encode())
    assert answer.status == 202, answer
    tenant.wait_for_count(2 * len(PROPERTIES))
    return tenant


@pytest.mark.parametrize("name", PROPERTIES)
def test_properties_come_back_as_they_were_sent(tenant: Tenant, name: str) -> None:
    """Sent alone or in bulk, read in each way, properties are equal as JSON to the last digit."""
    for event_id in (name, f"bulk {name}"):
        page = tenant.request("GET", f"/v1/events?event_id={quote(event_id)}")
        query = json.dumps({"event_id": event_id}).encode()
        answers = [
            exact(tenant.lookup(event_id).body),
            exact(page.body)["events"][0],
            exact(tenant.request("POST", "/v1/events/query", query).body)["events"][0],
        ]
        for row in answers:
            assert row["properties"] == exact(PROPERTIES[name])
            assert set(row) == KEYS


def test_every_key_is_there_and_null_if_empty(tenant: Tenant) -> None:
    """An event of the two required fields has every key; what was not sent is null or empty."""
    before = datetime.now(UTC)
    event_id = tenant.send({"event_name": "least", "external_customer_id": "c"})
    after = datetime.now(UTC)
    tenant.wait_for(event_id)
    row = tenant.lookup(event_id).json
    assert before <= datetime.fromisoformat(row.pop("timestamp")) <= after
    assert row == {
        "id": event_id,
        "event_name": "least",
        "external_customer_id": "c",
        "customer_id": None,
        "properties": {},
        "source": None,
        "environment_id": "round-trip",
    }
    assert tenant.page(event_id=event_id)["events"][0].keys() == KEYS


def test_every_field_comes_back(tenant: Tenant) -> None:
    """Each field, of unicode and control characters, is the same in every read."""
    odd = " \0'\"\\\n😀é\u2028"
    sent = event(
        "every field" + odd,
        event_name="name" + odd,
        external_customer_id="customer" + odd,
        customer_id="id" + odd,
        source="source" + odd,
        timestamp=ago(hours=3),
        properties={odd: odd},
    )
    tenant.send(sent)
    event_id = sent.pop("event_id")
    tenant.wait_for(event_id)
    wanted = {**sent, "id": event_id, "environment_id": "round-trip"}
    filters = {name: sent[name] for name in ("event_name", "external_customer_id", "source")}
    assert tenant.lookup(event_id).json == tenant.by_path(event_id).json["event"] == wanted
    assert tenant.page(**filters)["events"] == [wanted]
    assert tenant.query(**filters, property_filters={odd: [odd]})["events"] == [wanted]


def test_an_answer_holds_only_texts_and_the_id(tenant: Tenant) -> None:
    """The 202 of one event says its ID, made if none was sent; that of a bulk has no more."""
    made = tenant.post("/v1/events", event())
    assert set(made.json) == {"message", "event_id"}
    assert made.json["message"] == "Event accepted for processing"
    assert made.json["event_id"][14] == "7", "a UUIDv7"
    given = tenant.post("/v1/events", event("given"))
    assert given.json == {"message": "Event accepted for processing", "event_id": "given"}
    bulk = tenant.post("/v1/events/bulk", {"events": [event(), event("in bulk")]})
    assert bulk.json == {"message": "Events accepted for processing"}
    assert {answer.status for answer in (made, given, bulk)} == {202}
    assert {answer.headers["content-type"] for answer in (made, given, bulk)} == {
        "application/json"
    }


YEAR = datetime.now(UTC).year - 1
TIMES = {
    f"{YEAR}-03-04T05:06:07Z": f"{YEAR}-03-04T05:06:07.000000Z",
    f"{YEAR}-03-04T05:06:07.1Z": f"{YEAR}-03-04T05:06:07.100000Z",
    f"{YEAR}-03-04T05:06:07.123456Z": f"{YEAR}-03-04T05:06:07.123456Z",
    f"{YEAR}-03-04T05:06:07.000001Z": f"{YEAR}-03-04T05:06:07.000001Z",
    f"{YEAR}-03-04T05:06:07.1234569Z": f"{YEAR}-03-04T05:06:07.123456Z",
    f"{YEAR}-03-04T05:06:07.123456999Z": f"{YEAR}-03-04T05:06:07.123456Z",
    f"{YEAR}-03-04T05:06:07.9999999Z": f"{YEAR}-03-04T05:06:07.999999Z",
    f"{YEAR}-12-31T23:59:59.999999999Z": f"{YEAR}-12-31T23:59:59.999999Z",
    f"{YEAR}-03-04T05:06:07+02:00": f"{YEAR}-03-04T03:06:07.000000Z",
    f"{YEAR}-03-04T05:06:07.5-05:30": f"{YEAR}-03-04T10:36:07.500000Z",
    f"{YEAR}-03-04T05:06:07.123456789+14:00": f"{YEAR}-03-03T15:06:07.123456Z",
    f"{YEAR}-01-01T00:00:00+00:01": f"{YEAR - 1}-12-31T23:59:00.000000Z",
    "2024-02-29T12:00:00-00:00": "2024-02-29T12:00:00.000000Z",
}


def test_a_timestamp_is_the_same_instant_in_utc(tenant: Tenant) -> None:
    """Any offset and fraction comes back in UTC; beyond microseconds it is cut, not rounded."""
    tenant.send_bulk([event(sent, timestamp=sent) for sent in TIMES])
    tenant.wait_for(*TIMES)
    for sent, wanted in TIMES.items():
        for row in (tenant.lookup(sent).json, *tenant.page(event_id=sent)["events"]):
            assert row["timestamp"].endswith("Z")
            assert datetime.fromisoformat(row["timestamp"]) == datetime.fromisoformat(wanted)
        at = tenant.query(start_time=wanted, end_time=wanted)["events"]
        assert sent in [row["id"] for row in at]


def test_without_a_timestamp_it_is_now(tenant: Tenant) -> None:
    """An event without a timestamp, or with null, gets the time at which it was taken."""
    before = datetime.now(UTC)
    tenant.send_bulk([event("no time"), event("null time", timestamp=None)])
    tenant.wait_for("no time", "null time")
    for event_id in ("no time", "null time"):
        at = datetime.fromisoformat(tenant.lookup(event_id).json["timestamp"])
        assert before <= at <= before + timedelta(seconds=10)


@pytest.fixture(scope="module")
def odd_ids(stack: Stack) -> Tenant:
    tenant = new_tenant(stack, "round-trip-ids")
    tenant.send_bulk([event(event_id, properties={"id": event_id}) for event_id in ODD_IDS])
    tenant.wait_for_count(len(ODD_IDS))
    return tenant


@pytest.mark.parametrize("event_id", ODD_IDS, ids=lambda event_id: ascii(event_id[:12]))
def test_an_odd_id_is_found_by_lookup_and_filter(odd_ids: Tenant, event_id: str) -> None:
    """An ID may hold any character: look-up and filter find exactly that one."""
    found = odd_ids.lookup(event_id)
    assert found.status == 200, found
    assert found.json["id"] == found.json["properties"]["id"] == event_id
    assert odd_ids.page(event_id=event_id)["events"] == [found.json]
    assert odd_ids.query(event_id=event_id, **WIDE)["events"] == [found.json]


@pytest.mark.parametrize(
    "event_id",
    [event_id for event_id in ODD_IDS if event_id != "lookup"],  # this path is the look-up itself
    ids=lambda event_id: ascii(event_id[:12]),
)
def test_an_odd_id_is_found_by_path(odd_ids: Tenant, event_id: str) -> None:
    """Percent-encoded, any ID can be the last part of the path."""
    found = odd_ids.by_path(event_id)
    assert found.status == 200, found
    assert found.json["id"] == found.json["properties"]["id"] == event_id
