"""Reading FlexPrice's bodies."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingest_gateway.events import Sender
from ingest_gateway.flexprice import read_bulk, read_event, single_answer
from ingest_gateway.settings import Settings
from schemas.errors import ApiError

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 22, 12, 0, 0, 1, tzinfo=UTC)
SETTINGS = Settings()
GOOD: dict[str, Any] = {"event_name": "n", "external_customer_id": "c"}


def one(body: bytes) -> ApiError:
    with pytest.raises(ApiError) as refusal:
        read_event(body, Sender("t", NOW, SETTINGS))
    return refusal.value


def test_the_least_event_is_filled_in() -> None:
    """Two fields are enough: the ID is made, the time is now, the rest is empty."""
    (event,), made = read_event(json.dumps(GOOD).encode(), Sender("t", NOW, SETTINGS))
    assert made == [event.event_id]
    assert (event.tenant, event.timestamp) == ("t", "2026-11-22T12:00:00.000001Z")
    assert (event.customer_id, event.source, bytes(event.properties)) == ("", "", b"{}")


def test_null_is_the_same_as_absent() -> None:
    """Clients that write every field as null are understood."""
    body = json.dumps(
        {
            **GOOD,
            "event_id": None,
            "customer_id": None,
            "source": None,
            "timestamp": None,
            "properties": None,
        }
    )
    (event,), made = read_event(body.encode(), Sender("t", NOW, SETTINGS))
    assert made == [event.event_id]
    assert bytes(event.properties) == b"{}"


def test_properties_stay_the_bytes_that_were_sent() -> None:
    """Nothing between the braces is touched."""
    raw = b'{ "b":1.50, "a" : 12345678901234567890123, "a.b":null }'
    body = b'{"event_name":"n","external_customer_id":"c","event_id":"x","properties":' + raw + b"}"
    (event,), made = read_event(body, Sender("t", NOW, SETTINGS))
    assert bytes(event.properties) == raw
    assert (event.event_id, made) == ("x", [])


def test_the_answers_values_are_text() -> None:
    """The published client rejects anything else; quotes in an ID are escaped."""
    assert json.loads(single_answer('a"b')) == {
        "message": "Event accepted for processing",
        "event_id": 'a"b',
    }


@pytest.mark.parametrize(
    ("change", "field", "why"),
    [
        ({"event_name": ""}, "event_name", "must not be empty"),
        ({"event_name": "n" * 256}, "event_name", "at most 255 characters"),
        ({"event_name": None}, "event_name", "str"),
        ({"external_customer_id": 7}, "external_customer_id", "str"),
        ({"event_id": ""}, "event_id", "must not be empty"),
        ({"event_id": "x" * 513}, "event_id", "512"),
        ({"source": "s" * 256}, "source", "255"),
        ({"timestamp": "2026-11-22T12:00:00"}, "timestamp", "offset"),
        ({"timestamp": ""}, "timestamp", "ISO 8601"),
        ({"timestamp": 1700000000}, "timestamp", "str"),
        ({"timestamp": "1900-01-01T00:00:00Z"}, "timestamp", "5475 days back"),
        ({"timestamp": "2026-11-23T12:00:01Z"}, "timestamp", "ahead"),
        ({"propertis": {}}, "propertis", "no field"),
        ({"properties": []}, "properties", "object"),
        ({"properties": "{}"}, "properties", "object"),
        ({"properties": {"a": "x" * 70_000}}, "properties", "65536"),
    ],
)
def test_a_bad_field_is_named_with_its_limit(change: dict[str, Any], field: str, why: str) -> None:
    """A 400 tells a program the field, and a person the limit."""
    error = one(json.dumps({**GOOD, **change}).encode())
    assert (error.status, error.code, error.details) == (400, "validation_error", {"field": field})
    assert str(error).startswith(f"{field}: ")
    assert why in str(error)


@pytest.mark.parametrize("field", GOOD)
def test_a_missing_field_is_named(field: str) -> None:
    """What is required and not there is named."""
    error = one(json.dumps({name: value for name, value in GOOD.items() if name != field}).encode())
    assert str(error) == f"{field}: is required"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "object"),
        (b"null", "object"),
        (b'{"event_name":"n","external_customer_id":"c"} x', "not JSON"),
        (b'{"event_name":"n","external_customer_id":"c","properties":{"a":NaN}}', "not JSON"),
        (b'{"event_name":"\xff","external_customer_id":"c"}', "UTF-8"),
        (b'{"event_name":"n","external_customer_id":"c","properties":{"a":"\xff"}}', "UTF-8"),
        (b'{"event_name":"\\ud800","external_customer_id":"c"}', "surrogate"),
        (b'{"event_name":' + b"[" * 5000 + b"]" * 5000 + b"}", "object|str|deep"),
    ],
)
def test_a_body_that_is_no_event_says_why(body: bytes, why: str) -> None:
    """Broken JSON, broken UTF-8 and broken surrogates are told apart."""
    error = one(body)
    assert error.status == 400
    assert any(word in str(error) for word in why.split("|")), str(error)


def bulk(events: list[Any]) -> bytes:
    return json.dumps({"events": events}).encode()


def test_a_bulk_keeps_its_order() -> None:
    """Events go to the log in the order in which they stand, so the last of an ID wins."""
    events = [{**GOOD, "event_id": str(number % 3)} for number in range(9)]
    accepted = read_bulk(bulk(events), Sender("t", NOW, SETTINGS))
    assert [event.event_id for event in accepted.events] == [str(n % 3) for n in range(9)]


def test_a_bulk_names_every_bad_event() -> None:
    """All or nothing, and every index is named with its field."""
    events: list[Any] = [GOOD for _ in range(10_000)]
    events[7] = {**GOOD, "event_name": ""}
    events[7000] = {**GOOD, "timestamp": "soon"}
    events[8000] = {"event_name": "n"}
    events[9999] = "x"
    with pytest.raises(ApiError) as refusal:
        read_bulk(bulk(events), Sender("t", NOW, SETTINGS))
    error = refusal.value
    assert error.details is not None
    named = [(bad["index"], bad["field"]) for bad in error.details["errors"]]
    assert named == [
        (7, "event_name"),
        (7000, "timestamp"),
        (8000, "external_customer_id"),
        (9999, ""),
    ]
    assert "events[7]" in str(error)


@pytest.mark.parametrize("count", [0, 10_001])
def test_a_bulk_holds_1_to_10000_events(count: int) -> None:
    """None or more is a 400 that says how many are allowed."""
    with pytest.raises(ApiError, match="1 to 10000") as refusal:
        read_bulk(bulk([GOOD] * count), Sender("t", NOW, SETTINGS))
    assert refusal.value.details == {"field": "events"}


@pytest.mark.parametrize(
    ("body", "field"),
    [(b"{}", "events"), (b'{"events":{}}', "events"), (b'{"events":null}', "events")],
)
def test_a_bulk_without_events_names_the_field(body: bytes, field: str) -> None:
    """The envelope is checked like any field."""
    with pytest.raises(ApiError) as refusal:
        read_bulk(body, Sender("t", NOW, SETTINGS))
    assert refusal.value.details == {"field": field}


def test_bounds_on_age_are_settings() -> None:
    """An operator may let older events in."""
    body = json.dumps({**GOOD, "timestamp": "1990-01-01T00:00:00Z"}).encode()
    settings = Settings(max_event_age=timedelta(days=50 * 365))
    assert read_event(body, Sender("t", NOW, settings)).events[0].timestamp.startswith("1990")


@pytest.mark.parametrize("name", ["x" * 1_000_000, "\\'" * 500_000, "a\nb", "\u2028"])
def test_a_field_that_we_dont_know_is_named_briefly(name: str) -> None:
    """Its name is the sender's text: it is cut, and what does not print is escaped."""
    error = one(json.dumps({**GOOD, name: 1}).encode())
    assert error.details is not None
    assert len(str(error)) < 1000
    assert len(error.details["field"]) < 1000
    assert str(error).isprintable()
