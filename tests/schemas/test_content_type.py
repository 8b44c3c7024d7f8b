"""Which bodies are read as JSON."""

from __future__ import annotations

import pytest

from schemas.content_type import check_json, media_type_of
from schemas.errors import ApiError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "text/json",
        "application/vnd.acme+json",
        "application/x-www-form-urlencoded",
        "text/plain;charset=UTF-8",
        "application/octet-stream",
        "",
    ],
)
def test_json_is_read_and_what_nobody_chose(content_type: str) -> None:
    """A type that curl -d and others put there unasked; what is no JSON gets no further anyway."""
    check_json({"Content-Type": content_type})


def test_a_body_without_a_type_is_read() -> None:
    """Many senders leave it out."""
    check_json({})


@pytest.mark.parametrize(
    "content_type", ["text/xml", "text/csv", "multipart/form-data; boundary=x", "application/zip"]
)
def test_what_says_it_is_something_else_is_a_415(content_type: str) -> None:
    """In words that name it and what to send."""
    with pytest.raises(ApiError) as refused:
        check_json({"Content-Type": content_type}, " or application/x-ndjson")
    assert refused.value.status == 415
    assert repr(media_type_of({"Content-Type": content_type})) in str(refused.value)
    assert "send application/json or application/x-ndjson" in str(refused.value)
