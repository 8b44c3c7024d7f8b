"""Reading CloudEvents in the JSON format: structured, in batches, and as plain JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.ingest_gateway.cloud_events import (
    BATCH,
    FULL,
    LEAST,
    STRUCTURED,
    read,
    read_binary,
    refusal_of,
)

pytestmark = pytest.mark.unit


def test_every_attribute_has_its_place() -> None:
    """Type, subject, source, time and data become an event; id and source its ID."""
    (event,), made = read(FULL)
    assert (event.tenant, event.event_id, made) == ("t", '["app","1"]', [])
    assert (event.event_name, event.external_customer_id, event.source) == ("call", "acme", "app")
    assert (event.customer_id, event.timestamp) == ("", "2026-11-22T11:00:00.123456Z")
    assert json.loads(bytes(event.properties)) == {"a": 1}


@pytest.mark.parametrize(
    "body", [LEAST, {**LEAST, "time": None, "data": None, "datacontenttype": None, "ext": None}]
)
def test_the_least_event_is_filled_in(body: dict[str, Any]) -> None:
    """Absent and null are the same: the time is now, the data empty."""
    (event,), _ = read(body)
    assert (event.timestamp, bytes(event.properties)) == ("2026-11-22T12:00:00.000001Z", b"{}")


def test_data_stays_the_bytes_that_were_sent() -> None:
    """Nothing between the braces is touched, in any mode."""
    raw = b'{ "b":1.50, "a" : 12345678901234567890123, "a.b":null }'
    body = json.dumps(LEAST).encode()[:-1] + b',"data":' + raw + b"}"
    for accepted in (
        read(body),
        read(b"[" + body + b"]", BATCH),
        read_binary(body=b" " + raw + b"\n"),
    ):
        assert bytes(accepted.events[0].properties) == raw


@pytest.mark.parametrize(
    ("content_type", "body", "count"),
    [
        ("application/cloudevents+json", LEAST, 1),
        ("Application/CloudEvents+JSON ; charset=UTF-8", LEAST, 1),
        ("application/cloudevents-batch+json", [LEAST] * 3, 3),
        ("application/cloudevents-batch+json;charset=utf-8", [LEAST], 1),
        ("application/json", LEAST, 1),
        ("application/json; charset=utf-8", [LEAST] * 2, 2),
        ("application/vnd.app+json", LEAST, 1),
    ],
)
def test_the_content_type_says_the_mode(content_type: str, body: Any, count: int) -> None:
    """Whatever its case and parameters; plain JSON is one event or an array of them."""
    assert len(read(body, content_type).events) == count


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/cloudevents", "application/cloudevents+avro", "json"],
)
def test_another_content_type_is_a_415(content_type: str) -> None:
    """What we don't read is refused with what we do."""
    error = refusal_of(lambda: read(LEAST, content_type))
    assert (error.status, error.code) == (415, "http_client_error")
    assert STRUCTURED in str(error)


@pytest.mark.parametrize(
    ("change", "field", "why"),
    [
        ({"specversion": "0.3"}, "specversion", "'1.0'"),
        ({"specversion": 1.0}, "specversion", "str"),
        ({"id": ""}, "id", "must not be empty"),
        ({"id": None}, "id", "str"),
        ({"id": "x" * 513}, "id", "512"),
        ({"id": "x" * 505, "source": "s"}, "id", "513 characters"),
        ({"id": '"' * 300}, "id", "characters"),
        ({"source": ""}, "source", "must not be empty"),
        ({"source": "s" * 256}, "source", "255"),
        ({"type": ""}, "type", "must not be empty"),
        ({"type": 7}, "type", "str"),
        ({"subject": ""}, "subject", "customer"),
        ({"subject": None}, "subject", "customer"),
        ({"subject": "s" * 256}, "subject", "255"),
        ({"time": "2026-11-22T12:00:00"}, "time", "offset"),
        ({"time": ""}, "time", "ISO 8601"),
        ({"time": 1700000000}, "time", "str"),
        ({"time": "1900-01-01T00:00:00Z"}, "time", "days back"),
        ({"datacontenttype": "text/xml"}, "datacontenttype", "JSON"),
        ({"datacontenttype": ""}, "datacontenttype", "JSON"),
        ({"data": []}, "data", "object"),
        ({"data": "{}"}, "data", "object"),
        ({"data": {"a": "x" * 70_000}}, "data", "65536"),
        ({"data_base64": "e30="}, "data_base64", "in data"),
        ({"Subject": "acme"}, "Subject", "lower-case"),
        ({"data-type": "x"}, "data-type", "lower-case"),
        ({"": "x"}, "(empty)", "lower-case"),
        ({"a\nb": "x"}, "a\\nb", "lower-case"),
        ({"ü": "x"}, "ü", "lower-case"),
        ({"ext": {}}, "ext", "string"),
        ({"ext": [1]}, "ext", "string"),
    ],
)
def test_a_bad_attribute_is_named(change: dict[str, Any], field: str, why: str) -> None:
    """A 400 tells a program the attribute, and a person the rule; in a batch the place, too."""
    error = refusal_of(lambda: read({**LEAST, **change}))
    assert (error.status, error.code, error.details) == (400, "validation_error", {"field": field})
    assert str(error).startswith(f"{field}: ")
    assert why in str(error)
    in_batch = refusal_of(lambda: read([LEAST, {**LEAST, **change}], BATCH))
    (named,) = (in_batch.details or {})["errors"]
    assert named == {"index": 1, "field": field, "message": str(error)}


@pytest.mark.parametrize("field", LEAST)
def test_a_missing_attribute_is_named(field: str) -> None:
    """What is required and not there is named."""
    body = {name: value for name, value in LEAST.items() if name != field}
    assert refusal_of(lambda: read(body)).details == {"field": field}


def test_the_longest_id_is_taken() -> None:
    """The limit is that of the event ID, brackets and quotes included."""
    (event,), _ = read({**LEAST, "id": "x" * 504, "source": "s"})
    assert len(event.event_id) == 512


def test_extensions_are_taken_and_not_kept() -> None:
    """Attributes of others are legal; they are not part of the event."""
    extended = {**FULL, "traceparent": "00-1", "sampled": True, "rate": 1.5, "n2": 7, "none": None}
    assert read(extended) == read(FULL)


@pytest.mark.parametrize(
    "datacontenttype", ["application/json", "Application/JSON;charset=utf-8", "a/b+json"]
)
def test_json_has_many_names(datacontenttype: str) -> None:
    """Every media type of JSON is one."""
    assert read({**LEAST, "datacontenttype": datacontenttype}).events


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "object"),
        (b"null", "object"),
        (b'{"id":"\xff"}', "UTF-8"),
        (b'{"specversion":"1.0","ext":"\\ud800"}', "surrogate"),
        (b'{"ext":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deep|is required"),
    ],
)
def test_a_body_that_is_no_event_says_why(body: bytes, why: str) -> None:
    """Broken JSON, UTF-8 and surrogates are a 400, alone and in a batch."""
    error = refusal_of(lambda: read(body))
    assert error.status == 400
    assert any(word in str(error) for word in why.split("|")), str(error)
    assert refusal_of(lambda: read(b"[" + body + b"]", BATCH)).status == 400


@pytest.mark.parametrize("body", [[], [LEAST] * 10_001, {}, "x", [[LEAST]]])
def test_a_batch_has_1_to_10000_events(body: Any) -> None:
    """None, more, and what is no array of events is a 400."""
    assert refusal_of(lambda: read(body, BATCH)).status == 400


def test_a_batch_names_every_bad_event() -> None:
    """All or nothing, and every index is named with its attribute."""
    events: list[Any] = [{**LEAST, "id": str(number)} for number in range(10_000)]
    events[7] = {**LEAST, "subject": ""}
    events[5000] = {**LEAST, "Type": "x"}
    events[9999] = "x"
    error = refusal_of(lambda: read(events, BATCH))
    assert error.details is not None
    named = [(bad["index"], bad["field"]) for bad in error.details["errors"]]
    assert named == [(7, "subject"), (5000, "Type"), (9999, "")]
    assert str(error).startswith("3 of 10000 events are bad and none was taken; the first is [7]: ")


def test_a_batch_keeps_its_order() -> None:
    """Events go to the log in the order in which they stand, so the last of an ID wins."""
    ids = [str(number % 3) for number in range(9)]
    accepted = read([{**LEAST, "id": id_} for id_ in ids], BATCH)
    assert [event.event_id for event in accepted.events] == [f'["app","{id_}"]' for id_ in ids]
