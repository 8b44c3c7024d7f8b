"""The facts of Sequence's answers as JSON Schema, in our words: what the vendor's description of
version 2024-07-30 requires of them.
"""

from __future__ import annotations

import uuid
from typing import Any

import jsonschema_rs

TEXTS = (
    *("id", "customerEventId", "customerAlias", "eventType"),
    *("sequenceAccountId", "eventTimestamp"),
)
EVENT = {
    "type": "object",
    "required": [*TEXTS, "eventProperties"],
    "properties": {
        **{key: {"type": "string"} for key in TEXTS},
        "eventProperties": {"type": "object"},
    },
}
LIST = {
    "type": "object",
    "required": ["items", "pagination"],
    "properties": {
        "items": {"type": "array", "items": EVENT},
        "pagination": {
            "type": "object",
            "properties": {
                "after": {"type": ["string", "null"]},
                "before": {"type": ["string", "null"]},
                "totalResultSize": {
                    "type": ["integer", "null"],
                    "minimum": -(2**63),
                    "maximum": 2**63 - 1,
                },
            },
        },
    },
}
_event = jsonschema_rs.Draft202012Validator(EVENT)
_list = jsonschema_rs.Draft202012Validator(LIST)


def check_event(body: Any) -> None:
    """Fail unless an answer to a create is what the vendor's description says."""
    _event.validate(body)
    assert list(body) == [*TEXTS, "eventProperties"]
    assert is_uuid7(body["id"])


def check_list(body: Any) -> None:
    """Fail unless an answer to a list is what the vendor's description says."""
    _list.validate(body)
    assert set(body) == {"items", "pagination"}
    assert set(body["pagination"]) == {"after", "before", "totalResultSize"}
    for item in body["items"]:
        check_event(item)


def is_uuid7(text: str) -> bool:
    """Whether it is a UUIDv7 in the one form that we write."""
    parsed = uuid.UUID(text)
    return parsed.version == 7 and parsed.variant == uuid.RFC_4122 and str(parsed) == text
