"""Reading CloudEvents in binary mode: attributes in headers, data in the body."""

from __future__ import annotations

import json

import pytest

from tests.ingest_gateway.cloud_events import FULL, STRUCTURED, read, read_binary, refusal_of

pytestmark = pytest.mark.unit


def test_binary_mode_is_the_same_event() -> None:
    """Attributes in headers of any case, the data in the body, make what structured mode makes."""
    headers = [(f"CE-{name.title()}", value) for name, value in FULL.items() if name != "data"]
    headers = [pair for pair in headers if pair[0] != "CE-Datacontenttype"]
    assert read_binary(*headers, ("ce-ext", "x"), body=b'{"a": 1}') == read(FULL)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("%e2%82%ac", "€"),
        ("100%", "100%"),
        ("%41%25%22", 'A%"'),
        ('"a \\"b\\" \\\\c"', 'a "b" \\c'),
        ('"%20"', " "),
        ('"', '"'),
        ("ü", "ü"),
    ],
)
def test_header_values_are_percent_decoded_once(value: str, text: str) -> None:
    """The HTTP binding's rules: quotes first, then one round of percent-decoding."""
    (event,), _ = read_binary(("ce-subject", value))
    assert event.external_customer_id == text


@pytest.mark.parametrize(
    ("header", "field"),
    [
        (("ce-subject", ""), "subject"),
        (("ce-subject", "%C0%A0"), "subject"),
        (("ce-subject", "\udcff"), "subject"),
        (("ce-specversion", "0.3"), "specversion"),
        (("ce-id", ""), "id"),
        (("ce-time", "soon"), "time"),
        (("ce-datacontenttype", "application/json"), "datacontenttype"),
        (("ce-data", "{}"), "data"),
        (("ce-my_ext", "x"), "my_ext"),
        (("ce-", "x"), "(empty)"),
    ],
)
def test_a_bad_header_is_named(header: tuple[str, str], field: str) -> None:
    """A 400 names the attribute whose header is at fault."""
    error = refusal_of(lambda: read_binary(header))
    assert (error.status, error.details) == (400, {"field": field})


def test_a_header_that_comes_twice_is_refused() -> None:
    """Of two subjects neither is picked."""
    error = refusal_of(lambda: read_binary(("ce-subject", "a"), ("CE-Subject", "b")))
    assert error.details == {"field": "subject"}


@pytest.mark.parametrize("name", ["ce-data", "ce-data_base64"])
def test_data_is_no_header(name: str) -> None:
    """Who sends it there hears where it belongs."""
    assert "the body is the data" in str(refusal_of(lambda: read_binary((name, "{}"))))


def test_a_structured_type_is_not_binary_mode() -> None:
    """The content type decides before the headers do: an event in a format that we don't read is
    not taken for one without data.
    """
    error = refusal_of(lambda: read_binary(body=b"", content_type="application/cloudevents+avro"))
    assert error.status == 415
    assert read_binary(body=json.dumps(FULL).encode(), content_type=STRUCTURED) == read(FULL)


@pytest.mark.parametrize("body", [b"[]", b"null x", b"\xff", b'{"a":NaN}', b'"x"'])
def test_binary_data_is_a_json_object(body: bytes) -> None:
    """The body's limits are those of data."""
    assert refusal_of(lambda: read_binary(body=body)).status == 400


def test_binary_mode_needs_json_unless_there_is_no_data() -> None:
    """Another type of data is a 415; no body needs no type."""
    for content_type in ("text/plain", None):
        error = refusal_of(lambda kind=content_type: read_binary(content_type=kind))
        assert error.status == 415
        (event,), _ = read_binary(body=b"", content_type=content_type)
        assert bytes(event.properties) == b"{}"
