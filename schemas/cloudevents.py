"""The HTTP bodies of CloudEvents 1.0 as OpenMeter's clients send them, and how errors look.

Source: the CloudEvents specification 1.0.2 with its JSON format and HTTP binding; RFC 9457 for
the errors, which is what those clients read.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec

from schemas.errors import ApiError

PATH: Final = "/api/v1/events"
PROBLEM: Final = "application/problem+json"


def error_body(error: ApiError) -> bytes:
    """Write a refusal as problem details, with our code and details beside what the RFC names."""
    answer: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": str(error),
        "code": error.code,
    }
    if error.details is not None:
        answer["details"] = error.details
    return msgspec.json.encode(answer)
