"""Refusals, and the shape that each dialect gives them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas import errors
from schemas.dialects import CLOUDEVENTS, FLEXPRICE, SEQUENCE, Dialect, dialect_of
from schemas.errors import REFUSALS, ApiError, unavailable, validation_error
from schemas.request_id import current_request_id

pytestmark = pytest.mark.unit

ERROR = validation_error("page_size: must be at least 1", field="page_size")
SHAPES: dict[str, dict[str, Any]] = {
    "flexprice": {
        "code": "validation_error",
        "message": "page_size: must be at least 1",
        "http_status_code": 400,
        "details": {"field": "page_size"},
        "success": False,
        "error": {"message": "page_size: must be at least 1", "internal_error": None},
    },
    "sequence": {
        "code": "validation_error",
        "message": "page_size: must be at least 1",
        "statusCode": 400,
        "details": {"field": "page_size"},
    },
    "cloudevents": {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "page_size: must be at least 1",
        "instance": "urn:request:r%221",
        "code": "validation_error",
        "details": {"field": "page_size"},
    },
}
DIALECTS = pytest.mark.parametrize(
    "dialect", [FLEXPRICE, SEQUENCE, CLOUDEVENTS], ids=lambda dialect: dialect.name
)


@DIALECTS
def test_each_dialect_has_its_own_shape(dialect: Dialect) -> None:
    """FlexPrice's flat error with what newer clients look for beside it, Sequence's names, and
    problem details, which name the request.
    """
    current_request_id.set('r"1')
    assert json.loads(dialect.error_body(ERROR)) == SHAPES[dialect.name]


@DIALECTS
def test_details_are_there_only_where_there_is_more_to_say(dialect: Dialect) -> None:
    """No empty ones: a client that looks for them finds something."""
    assert "details" not in json.loads(dialect.error_body(ApiError(404, "not_found", "no")))


@DIALECTS
def test_whatever_a_message_quotes_the_body_is_json(dialect: Dialect) -> None:
    """Quotes, line breaks, NULs and any character come back as they were."""
    message = 'a "b" \\ \n\0 é 😀'
    body = json.loads(dialect.error_body(ApiError(400, "validation_error", message)))
    assert message in (body.get("message"), body.get("detail"))


def test_a_path_has_the_dialect_that_is_spoken_there() -> None:
    """What belongs to no other is FlexPrice's, paths that nobody serves included."""
    assert dialect_of("/api/usage-events") is SEQUENCE
    assert dialect_of("/api/v1/events") is CLOUDEVENTS
    for path in ("/v1/events", "/v1/events/a", "/", "/api/usage-events/a", "/api/v1/eventsx"):
        assert dialect_of(path) is FLEXPRICE


def test_a_401_says_how_each_dialect_authenticates() -> None:
    """Sequence's clients wait for Basic, the others for a bearer."""
    challenges = [one.challenge.split()[0] for one in (FLEXPRICE, SEQUENCE, CLOUDEVENTS)]
    assert challenges == ["Bearer", "Basic", "Bearer"]


def test_unavailable_says_when_to_come_again() -> None:
    """A 503 carries Retry-After, in seconds, and so does a 429."""
    assert unavailable("busy", retry_after_s=2).headers == {"Retry-After": "2"}
    assert errors.too_many("busy", retry_after_s=3).headers == {"Retry-After": "3"}


def test_every_refusal_that_is_made_here_is_a_documented_one() -> None:
    """Status and code of each are those that the OpenAPI documents list."""
    made = [
        errors.validation_error("no"),
        errors.unauthenticated("no"),
        errors.forbidden("no"),
        errors.not_found("no"),
        errors.too_large("no"),
        errors.too_many("no", retry_after_s=1),
        errors.unavailable("no", retry_after_s=1),
    ]
    assert {error.status: error.code for error in made} == {
        error.status: REFUSALS[error.status].code for error in made
    }
