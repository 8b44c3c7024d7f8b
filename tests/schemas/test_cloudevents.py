"""CloudEvents' event ID, and how refusals look."""

from __future__ import annotations

import json

import pytest

from schemas.cloudevents import error_body, event_id_of
from schemas.errors import ApiError, validation_error
from schemas.request_id import current_request_id

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("source", "id_", "event_id"),
    [
        ("my-app", "1", '["my-app","1"]'),
        ("https://a.example/b?c#d", "e/f", '["https://a.example/b?c#d","e/f"]'),
        ('a","b', "c", r'["a\",\"b","c"]'),
        ("a", 'b","c', r'["a","b\",\"c"]'),
        ("\\", "\n\0", r'["\\","\n\u0000"]'),
        ("ü", "😀\u2028\x7f", '["ü","😀\u2028\x7f"]'),
    ],
)
def test_the_event_id_never_changes(source: str, id_: str, event_id: str) -> None:
    """It is a contract: what was sent under one form and is sent again under another counts
    twice.
    """
    assert event_id_of(source, id_) == event_id
    assert json.loads(event_id) == [source, id_]


def test_a_refusal_is_problem_details() -> None:
    """It has what RFC 9457 names, and our code and details beside it."""
    token = current_request_id.set("r/1 é")
    try:
        body = error_body(validation_error("subject: is required", field="subject"))
    finally:
        current_request_id.reset(token)
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "subject: is required",
        "instance": "urn:request:r%2F1%20%C3%A9",
        "code": "validation_error",
        "details": {"field": "subject"},
    }


def test_details_are_left_out_where_there_are_none() -> None:
    """A refusal that has nothing more to say to a program does not say null."""
    problem = json.loads(error_body(ApiError(404, "not_found", "no such path")))
    assert "details" not in problem
    assert (problem["title"], problem["detail"]) == ("Not Found", "no such path")
