"""The operations that every service has beside its calls: for operators, and its own document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from schemas.content_type import JSON
from schemas.json_schema import Schema
from schemas.openapi import Answer, Content, Operation

_TAG: Final = "Operators"
_LIVE: Final[Schema] = {
    "type": "object",
    "properties": {"status": {"const": "ok"}},
    "required": ["status"],
}


def checks(prefix: str, name: str, needs: Sequence[str]) -> tuple[Operation, Operation]:
    """Give ``livez`` and ``readyz`` under a path's prefix. ``name`` makes their IDs one of a kind;
    ``needs`` are what the state tells of, each "ok" or what is wrong with it.
    """
    state: Schema = {
        "type": "object",
        "properties": {need: {"type": ["string", "object"]} for need in needs},
        "required": list(needs),
    }
    return (
        Operation(
            "get",
            f"{prefix}livez",
            f"{name}Live",
            "Whether the process answers",
            _TAG,
            [Answer(200, "It does.", {JSON: Content(_LIVE)})],
            needs_key=False,
        ),
        Operation(
            "get",
            f"{prefix}readyz",
            f"{name}Ready",
            "Whether it can do its work just now",
            _TAG,
            [
                Answer(200, "It can.", {JSON: Content(state)}),
                Answer(503, "It can't, and why.", {JSON: Content(state)}),
            ],
            description='Of each thing that it needs: "ok", or what is wrong.',
            needs_key=False,
        ),
    )


def own_document(path: str, operation_id: str) -> Operation:
    """Give the operation that answers an OpenAPI document."""
    return Operation(
        "get",
        path,
        operation_id,
        "This document",
        _TAG,
        [Answer(200, "OpenAPI 3.1.", {JSON: Content({"type": "object"})}, {"ETag": "Its hash."})],
        needs_key=False,
    )
