"""Each answer of a server has one reaction."""

from __future__ import annotations

import json

import pytest

from deploy.load.answers import (
    Accepted,
    BadEvents,
    BadRequest,
    GiveUp,
    TryAgain,
    read_answer,
)

pytestmark = pytest.mark.unit


def body(**more: object) -> bytes:
    return json.dumps({"code": "c", "message": "said", "http_status_code": 1, **more}).encode()


def test_only_202_is_accepted() -> None:
    """A 200 comes from something that is no gateway: taking it for a promise loses events."""
    assert read_answer(202, {}, b"", sent=1) == Accepted()
    other = read_answer(200, {}, b"<html>\nhello", sent=1)
    assert isinstance(other, GiveUp)
    assert "answered 200: <html> hello; is --url" in other.reason


def test_bad_indexes_are_read() -> None:
    """Indexes come with field and reason; one that was never sent is left aside."""
    errors = [
        {"index": 0, "field": "event_name", "message": "event_name: missing"},
        {"index": 2, "field": None, "message": "bad"},
        {"index": 3, "field": "x", "message": "never sent"},
    ]
    answer = read_answer(400, {}, body(details={"errors": errors}), sent=3)
    assert answer == BadEvents({0: ("event_name", "missing"), 2: ("", "bad")})


@pytest.mark.parametrize("details", [None, {}, {"errors": []}, {"errors": [{"index": 9}]}])
@pytest.mark.parametrize("status", [400, 413])
def test_a_refusal_without_indexes_is_of_the_whole(status: int, details: object) -> None:
    """Then nobody knows yet which event it is."""
    assert read_answer(status, {}, body(details=details), sent=3) == BadRequest("said")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    """With the server's wish, if it is in seconds."""
    reason = f"the server answered {status}: said"
    for wish, seconds in [("7", 7.0), ("Wed, 21 Oct 2015 07:28:00 GMT", None), ("-1", None)]:
        answer = read_answer(status, {"Retry-After": wish}, body(), sent=1)
        assert answer == TryAgain(reason, seconds)
    assert read_answer(status, {}, body(), sent=1) == TryAgain(reason, None)


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (401, {}, "check --key"),
        (403, {}, "check --key"),
        (404, {}, "is --url"),
        (301, {"Location": "https://x/"}, "it points to https://x/"),
    ],
)
def test_what_will_not_pass_is_given_up(status: int, headers: dict[str, str], said: str) -> None:
    """The reason says what the user can change."""
    answer = read_answer(status, headers, body(), sent=1)
    assert isinstance(answer, GiveUp)
    assert said in answer.reason
