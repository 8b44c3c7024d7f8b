"""Good CloudEvents, and how the tests read them."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from multidict import CIMultiDict

from ingest_gateway.cloudevents import read_request
from ingest_gateway.events import Accepted, Sender
from ingest_gateway.settings import Settings
from schemas.errors import ApiError

NOW = datetime(2026, 11, 22, 12, 0, 0, 1, tzinfo=UTC)
SETTINGS = Settings()
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
LEAST: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "app",
    "type": "call",
    "subject": "acme",
}
FULL: dict[str, Any] = {
    **LEAST,
    "time": "2026-11-22T13:00:00.1234567+02:00",
    "datacontenttype": "application/json",
    "dataschema": "https://example.com/schema",
    "data": {"a": 1},
}
BINARY = {f"ce-{name}": value for name, value in LEAST.items()}


def read(body: Any, content_type: str = STRUCTURED, **headers: str) -> Accepted:
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    given = CIMultiDict({"Content-Type": content_type, **headers})
    return asyncio.run(read_request(given, raw, Sender("t", NOW, SETTINGS)))


def read_binary(
    *more: tuple[str, str], body: bytes = b"{}", content_type: str | None = "application/json"
) -> Accepted:
    """Read in binary mode; a header of ``more`` takes the place of one in `BINARY`."""
    replaced = {name.lower() for name, _ in more}
    headers = CIMultiDict([*((n, v) for n, v in BINARY.items() if n not in replaced), *more])
    if content_type is not None:
        headers["Content-Type"] = content_type
    return asyncio.run(read_request(headers, body, Sender("t", NOW, SETTINGS)))


def refusal_of(call: Any) -> ApiError:
    with pytest.raises(ApiError) as refusal:
        call()
    return refusal.value
