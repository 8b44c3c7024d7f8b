"""A short form of `make fuzz`, and that the fuzz itself is able to find something."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fuzz.__main__ import fuzz_all
from tests.fuzz.answers import Answer, wrong
from tests.fuzz.corpus import Credentials, Request, good_requests
from tests.fuzz.run import fuzzed_stack, make_case

SEED = 20261123
REQUESTS = 2_000
CREDENTIALS = Credentials("tally_key", "key_id", "secret")
REFUSAL = (
    b'{"code":"validation_error","message":"no","http_status_code":400,'
    b'"success":false,"error":{"message":"no","internal_error":null}}'
)
HEADERS = {"content-type": "application/json", "x-request-id": "a"}


def test_wrong_requests_do_no_harm(tmp_path: Path) -> None:
    """No 5xx, no traceback, no growth, every answer in its dialect's shape; good events pass all
    the while, and all that was accepted is stored and can be read.
    """
    with fuzzed_stack(tmp_path) as fuzz:
        asyncio.run(fuzz_all(fuzz, SEED, REQUESTS))
        assert fuzz.sent == REQUESTS
        # What is refused at the door alone would prove little.
        assert min(fuzz.statuses[status] for status in ("200", "202", "204", "400", "401")) > 20


@pytest.mark.unit
def test_a_case_is_the_same_again() -> None:
    """A number of a seed stands for the same bytes in every run; another one for others."""
    good = good_requests(CREDENTIALS)
    first = [make_case(1, number, good).wire for number in range(300)]
    assert first == [make_case(1, number, good_requests(CREDENTIALS)).wire for number in range(300)]
    assert len({*first, *(make_case(2, number, good).wire for number in range(300))}) > 550


@pytest.mark.unit
@pytest.mark.parametrize(
    ("answer", "path"),
    [
        (Answer(500, HEADERS, REFUSAL), "/v1/events"),
        (Answer(503, HEADERS, REFUSAL), "/v1/events"),
        (Answer(400, {"content-type": "application/json"}, REFUSAL), "/v1/events"),
        (Answer(401, HEADERS, REFUSAL), "/v1/events"),
        (Answer(400, HEADERS, REFUSAL), "/api/usage-events"),
        (Answer(400, HEADERS, REFUSAL), "/api/v1/events"),
        (Answer(400, HEADERS, REFUSAL[:-1]), "/v1/events"),
        (Answer(400, HEADERS, b""), "/v1/events"),
        (Answer(400, {**HEADERS, "content-type": "text/plain"}, b"no"), "/v1/events"),
        (Answer(200, {**HEADERS, "content-type": "text/html"}, b"<p>"), "/v1/events"),
        (Answer(200, HEADERS, b'{"a":NaN}'), "/v1/events"),
    ],
)
def test_bad_answers_are_seen(answer: Answer, path: str) -> None:
    """Another status, another shape, no ID, no JSON."""
    assert wrong(Answer(400, HEADERS, REFUSAL), Request("POST", "/v1/events")) is None
    assert wrong(answer, Request("POST", path)) is not None
