"""The HTTP bodies of Sequence's dialect: what is read, what is answered, how errors look.

Source: Sequence's published description of ``/api/usage-events``, version 2024-07-30; it tells
nothing about the body of an error, so that is ours.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from schemas.errors import ApiError

PATH: Final = "/api/usage-events"
VERSION_HEADER: Final = "Sequence-Version"
VERSIONS: Final = ("2024-07-30",)


def error_body(error: ApiError) -> bytes:
    """Write a refusal: ``details`` is there only where there is more to say."""
    answer: dict[str, Any] = {
        "code": error.code,
        "message": str(error),
        "statusCode": error.status,
    }
    if error.details is not None:
        answer["details"] = error.details
    return msgspec.json.encode(answer)
