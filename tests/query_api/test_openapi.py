"""The query service's OpenAPI document, and the page that shows it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from query_api import flexprice, openapi, sequence
from query_api.app import QueryService, application
from query_api.docs.page import HEADERS
from query_api.request import Order, Sort
from query_api.settings import Settings
from query_api.store import ClickHouseStore
from schemas.clickhouse import ClickHouseSettings
from schemas.errors import ApiError
from schemas.flexprice import ORDERS, SORTS
from schemas.keys import KeyRing
from schemas.openapi import document
from tests.support.openapi import calls_of, documented_calls, served

ALONE = {("get", "/livez"), ("get", "/readyz"), ("get", "/openapi.json")}
PAGE = Path(__file__).parents[2] / "query_api" / "docs"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def service() -> QueryService:
    """A service whose store is never asked: there is none."""
    settings = Settings(clickhouse=ClickHouseSettings(url="http://127.0.0.1:9"))
    return QueryService(ClickHouseStore(settings), KeyRing(), settings)


def parameters(path: str) -> dict[str, dict[str, Any]]:
    listed = document("", "", openapi.OPERATIONS)["paths"][path]["get"]["parameters"]
    return {one["name"]: one for one in listed if one["in"] == "query"}


async def test_every_route_is_documented_and_no_other(service: QueryService) -> None:
    """A route without a word on it fails, and a word on a route that is not there."""
    app = application(service)
    async with served(app) as session:
        assert await documented_calls(session, "/openapi.json") == calls_of(app)
        shared = await documented_calls(session, "/query/openapi.json")
    assert shared == calls_of(app) - ALONE


def test_words_to_choose_from_are_those_that_are_read() -> None:
    """What a list is sorted by, and its order."""
    assert list(SORTS) == [sort.value for sort in Sort]
    assert set(ORDERS) == {order.value for order in Order}


@pytest.mark.parametrize("path", ["/v1/events", "/api/usage-events", "/v1/events/lookup"])
def test_a_documented_parameter_is_one_that_is_read(path: str) -> None:
    """None is refused as unknown, and no other is taken."""

    def refused_as_unknown(name: str) -> bool:
        pairs = [(name, "x")]
        try:
            if path == "/v1/events":
                flexprice.read_get(pairs, "t", NOW, timedelta(days=7))
            elif path == "/v1/events/lookup":
                flexprice.read_look_up(pairs)
            else:
                sequence.read_list([], pairs, "t")
        except ApiError as error:
            return "is not a parameter" in str(error)
        return False

    assert [name for name in parameters(path) if refused_as_unknown(name)] == []
    assert refused_as_unknown("nothing_of_the_kind")


def test_whole_numbers_are_read_as_json_means_them() -> None:
    """An integer of a schema may be written 2.0 in a body; 2.5 is none, and a URL has digits."""

    def page_size(body: bytes) -> int:
        return flexprice.read_query(body, "t", NOW, timedelta(days=7)).page_size

    assert page_size(b'{"page_size":2.0}') == page_size(b'{"page_size":2}') == 2
    for bad in (b'{"page_size":2.5}', b'{"offset":0.1}', b'{"page_size":"2"}'):
        with pytest.raises(ApiError, match="an integer"):
            page_size(bad)
    with pytest.raises(ApiError, match="must be an integer"):
        flexprice.read_get([("page_size", "2.0")], "t", NOW, timedelta(days=7))


async def test_the_page_talks_to_this_server_alone(service: QueryService) -> None:
    """Its files come from here, under a policy that lets in nothing else, and need no key."""
    async with served(application(service)) as session:
        async with session.get("/docs") as response:
            assert (response.status, response.content_type) == (200, "text/html")
            policy = response.headers["Content-Security-Policy"]
            assert HEADERS.items() <= dict(response.headers).items()
            page = await response.text()
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        sources = re.findall(r'(?:src|href)="([^"]*)"', page)
        assert len(sources) > 4
        for source in sources:
            if source.startswith("data:"):
                continue
            assert "//" not in source
            async with session.get(f"/{source}") as response:
                assert response.status == 200, source
                assert response.content_type in ("text/css", "text/javascript", "application/json")


def test_the_page_has_no_script_of_its_own_inside() -> None:
    """Nor a style: the policy would not let them run."""
    page = (PAGE / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*src=)|<style|\son\w+=|style=", page) == []
    assert "validatorUrl: null" in (PAGE / "page.js").read_text()
