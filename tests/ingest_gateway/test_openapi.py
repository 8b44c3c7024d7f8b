"""The gateway's OpenAPI document, and what it is made of."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.embedded.log.events import SqliteEventLog
from ingest_gateway import openapi
from ingest_gateway.app import Gateway, application
from ingest_gateway.bulk import NDJSON_TYPES, PARTIAL
from ingest_gateway.intake import IDEMPOTENCY_KEY
from ingest_gateway.settings import Settings
from schemas.content_encoding import ENCODINGS
from schemas.event import MAX_BULK_EVENTS, MAX_EVENT_ID_CHARS
from schemas.keys import KeyRing
from schemas.openapi import document
from tests.support.openapi import calls_of, documented_calls, served

ALONE = {("get", "/livez"), ("get", "/readyz"), ("get", "/openapi.json")}


@pytest.fixture
def gateway(log: SqliteEventLog) -> Gateway:
    return Gateway(log, KeyRing(), Settings())


def written() -> dict[str, Any]:
    return document("", "", openapi.OPERATIONS, openapi.AMENDMENTS)


def post(path: str) -> dict[str, Any]:
    operation: dict[str, Any] = written()["paths"][path]["post"]
    return operation


async def test_every_route_is_documented_and_no_other(gateway: Gateway) -> None:
    """A route without a word on it fails, and a word on a route that is not there."""
    app = application(gateway)
    async with served(app) as session:
        assert await documented_calls(session, "/openapi.json") == calls_of(app)
        shared = await documented_calls(session, "/ingest/openapi.json")
    assert shared == calls_of(app) - ALONE


async def test_a_document_that_is_known_is_not_sent_again(gateway: Gateway) -> None:
    """It may be kept, is asked for each time, and costs a 304."""
    async with served(application(gateway)) as session:
        async with session.get("/openapi.json") as response:
            tag = response.headers["ETag"]
            assert response.headers["Cache-Control"] == "no-cache"
        async with session.get("/openapi.json", headers={"If-None-Match": tag}) as response:
            assert (response.status, response.headers["ETag"]) == (304, tag)
            assert await response.read() == b""
        async with session.get("/openapi.json", headers={"If-None-Match": '"other"'}) as response:
            assert response.status == 200


def test_limits_are_those_of_the_contract() -> None:
    """Of an ID, and of a bulk."""
    schemas = written()["components"]["schemas"]
    event_id = schemas["IngestEvent"]["properties"]["event_id"]
    assert (event_id["minLength"], event_id["maxLength"]) == (1, MAX_EVENT_ID_CHARS)
    assert schemas["BulkIngest"]["properties"]["events"]["maxItems"] == MAX_BULK_EVENTS


@pytest.mark.parametrize(
    ("struct", "field"),
    [
        ("IngestEvent", "properties"),
        ("CreateUsageEvent", "eventProperties"),
        ("CloudEvent", "data"),
    ],
)
def test_properties_are_an_object(struct: str, field: str) -> None:
    """Although their bytes are never decoded."""
    assert written()["components"]["schemas"][struct]["properties"][field]["type"] == [
        "object",
        "null",
    ]


def test_what_a_bulk_takes_is_named() -> None:
    """Its media types, its parameter, its header and every encoding."""
    bulk = post("/v1/events/bulk")
    described = bulk["description"] + "".join(bulk["requestBody"]["content"])
    assert [name for name in NDJSON_TYPES if name not in described] == []
    names = {parameter["name"] for parameter in bulk["parameters"]}
    assert names >= {PARTIAL, IDEMPOTENCY_KEY}
    encodings = [name for name in ENCODINGS if name != "identity"]
    assert [name for name in encodings if name not in bulk["requestBody"]["description"]] == []


def test_examples_of_bodies_are_those_of_the_type() -> None:
    """Every body has one, to be sent from the page as it is."""
    for path in ("/v1/events", "/v1/events/bulk", "/api/usage-events", "/api/v1/events"):
        contents = post(path)["requestBody"]["content"]
        assert any("examples" in content for content in contents.values()), path
