"""Refusals, and the shape that each dialect gives them."""

from __future__ import annotations

import json

import pytest

from schemas.errors import unavailable, validation_error
from schemas.flexprice import error_body

pytestmark = pytest.mark.unit


def test_an_error_reads_in_both_of_the_vendors_shapes() -> None:
    """The flat error, and beside it what newer clients look for."""
    error = validation_error("page_size: must be at least 1", field="page_size")
    assert json.loads(error_body(error)) == {
        "code": "validation_error",
        "message": "page_size: must be at least 1",
        "http_status_code": 400,
        "details": {"field": "page_size"},
        "success": False,
        "error": {"message": "page_size: must be at least 1", "internal_error": None},
    }


def test_unavailable_says_when_to_come_again() -> None:
    """A 503 carries Retry-After, in seconds."""
    assert unavailable("busy", retry_after_s=2).headers == {"Retry-After": "2"}
