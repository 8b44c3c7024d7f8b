"""The routes, as a client on the network sees them."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from io import BytesIO
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from query_api.settings import Settings
from tests.query_api.conftest import Api, new_tenant, serving
from tests.query_api.rows import NOON, Row, Table, at, text

WINDOW = {"start_time": text(at(-60)), "end_time": text(at(60))}
READS = (
    ("GET", "/v1/events"),
    ("POST", "/v1/events/query"),
    ("GET", "/v1/events/lookup?id=x"),
    ("GET", "/v1/events/x"),
)


async def test_an_event_comes_back_as_it_was_sent(api: Api, table: Table, tenant: str) -> None:
    """Properties are the same bytes in a list and in both look-ups; empty fields are null."""
    properties = '{"big": 18446744073709551617, "{\\"request_size\\"": {"é/": [null, 1.50]}}'
    table.store(
        Row(tenant, "e/1", at(0, micros=7), customer_id="c", properties=properties),
        Row(tenant, "e2", at(1), source="app"),
    )
    answer = await api.get(tenant, **WINDOW, count_total="1")
    assert properties.encode() in answer.raw
    plain, sent = answer.body["events"]
    assert sent == {
        "id": "e/1",
        "event_name": "call",
        "external_customer_id": "acme",
        "customer_id": "c",
        "timestamp": "2024-03-20T12:00:00.000007Z",
        "properties": json.loads(properties),
        "source": None,
        "environment_id": tenant,
    }
    assert (plain["source"], plain["customer_id"], plain["timestamp"]) == (
        "app",
        None,
        "2024-03-20T12:01:00Z",
    )
    assert answer.body["total_count"] == 2
    by_path = await api.call("GET", "/v1/events/e%2F1", tenant)
    by_query = await api.look_up(tenant, "e/1")
    assert by_query.body == sent
    # What the published clients look for stands beside the event's own fields.
    theirs = {"event": sent, "status": None, "debug_tracker": None, "processed_events": None}
    assert by_path.body == {**sent, **theirs}
    assert by_path.raw.count(properties.encode()) == 2
    assert (await api.call("GET", "/v1/events/e/1", tenant)).body == by_path.body
    assert (await api.get(tenant, **WINDOW)).body["total_count"] is None


@pytest.mark.parametrize(
    "event_id",
    [
        "lookup",
        "query",
        "a/b//c",
        "50%",
        "%2F",
        "%252F",
        "a+b c",
        "?x=1#y",
        ";:@&=,",
        "ü\U0001f600",
        "nul\0",
        "new\nline\r\n",
        "it's \\ {id:String}",
        "..",
        ".",
        "[]",
        '["urn:x","1"]',
        "x" * 512,
    ],
)
async def test_any_event_id_can_be_asked_for(
    api: Api, table: Table, tenant: str, event_id: str
) -> None:
    """An ID of any characters is found by parameter, in lists, and percent-encoded in the path."""
    table.store(Row(tenant, event_id), Row(tenant, event_id + "x"))
    assert (await api.look_up(tenant, event_id)).body["id"] == event_id
    assert await api.listed(tenant, event_id=event_id) == [event_id]
    if event_id not in ("lookup", ".", ".."):  # a route, and what every client resolves away
        path = URL(f"{api.url}/v1/events/{quote(event_id, safe='')}", encoded=True)
        async with api.http.get(path, headers={"x-api-key": api.key(tenant)}) as response:
            assert (await response.json())["id"] == event_id


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/v1/events?page_size=0", 400, "page_size"),
        ("/v1/events?page_size=5&page_size=6", 400, "page_size"),
        ("/v1/events?start_time=2024-01-01T00:00:00", 400, "start_time"),
        ("/v1/events?tenant_id=other", 400, "tenant_id"),
        ("/v1/events?iter_last_key=abc", 400, "iter_last_key"),
        ("/v1/events?property_filters=a", 400, "property_filters"),
        ("/v1/events?event_name=", 400, "event_name"),
        ("/v1/events/lookup", 400, "id"),
        ("/v1/events/lookup?id=", 400, "id"),
        ("/v1/events/lookup?id=a&x=b", 400, "x"),
        ("/v1/events/lookup?id=a&start_time=soon", 400, "start_time"),
        ("/v1/events/lookup?id=%FF", 400, None),
        ("/v1/events?event_id=%FF", 400, None),
        ("/v1/events/%FF", 400, "id"),
        ("/v1/events/none?x=1", 400, "x"),
        ("/v1/events/none", 404, None),
        ("/v1/events/lookup?id=none", 404, None),
    ],
)
async def test_refusals_name_the_parameter(
    api: Api, tenant: str, path: str, status: int, field: str | None
) -> None:
    """A refusal has FlexPrice's shape, flat and nested, and names what to change."""
    answer = await api.call("GET", path, tenant)
    assert answer.status == status
    assert answer.body["http_status_code"] == status
    assert answer.body["code"] == ("validation_error" if status == 400 else "not_found")
    assert answer.body["success"] is False
    assert answer.body["error"] == {"message": answer.body["message"], "internal_error": None}
    if field is not None:
        assert answer.body["details"]["field"] == field
        assert field in answer.body["message"]


async def test_a_plus_in_a_url_is_an_offset(api: Api, table: Table, tenant: str) -> None:
    """An offset that a client did not escape is understood."""
    table.store(Row(tenant, "x", at(0)))
    path = "/v1/events?start_time=2024-03-20T14:00:00+02:00&end_time=2024-03-20T14:00:00+02:00"
    headers = {"x-api-key": api.key(tenant)}
    async with api.http.get(URL(api.url + path, encoded=True), headers=headers) as response:
        assert [event["id"] for event in (await response.json())["events"]] == ["x"]


@pytest.mark.parametrize(("method", "path"), READS)
async def test_every_read_needs_a_key(api: Api, method: str, path: str) -> None:
    """Without a key, with an unknown one, or naming another tenant, nothing is answered."""
    more: dict[str, Any] = {"json": {}} if method == "POST" else {}
    assert (await api.call(method, path, None, **more)).status == 401
    wrong = {"Authorization": "Bearer tally_wrong"}
    assert (await api.call(method, path, None, headers=wrong, **more)).status == 401
    other = {"X-Environment-ID": "other"}
    assert (await api.call(method, path, "mine", headers=other, **more)).status == 403
    good = {"Authorization": f"Bearer {api.key('mine')}", "X-Environment-ID": "mine"}
    assert (await api.call(method, path, None, headers=good, **more)).status in (200, 404)


async def test_tenants_see_only_themselves(api: Api, table: Table) -> None:
    """The same ID in two tenants is two events, and no call or cursor crosses over."""
    mine, yours = new_tenant(), new_tenant()
    table.store(Row(mine, "same", event_name="mine"), Row(yours, "same", event_name="yours"))
    table.store(Row(yours, "only", properties='{"k":"v"}'))
    for tenant, names in ((mine, ["mine"]), (yours, ["call", "yours"])):
        page = (await api.get(tenant, **WINDOW, count_total="true")).body
        assert sorted(event["event_name"] for event in page["events"]) == names
        assert page["total_count"] == len(names)
        assert {event["environment_id"] for event in page["events"]} == {tenant}
        assert (await api.look_up(tenant, "same")).body["event_name"] in names
    assert (await api.look_up(mine, "only")).status == 404
    assert (await api.call("GET", "/v1/events/only", mine)).status == 404
    for filters in ({"event_id": "only"}, {"property_filters": {"k": ["v"]}, **WINDOW}):
        assert await api.listed(mine, **filters) == []
        assert await api.listed(yours, **filters) == ["only"]
    page = (await api.get(yours, **WINDOW, page_size=1)).body
    for name in ("iter_first_key", "iter_last_key"):
        refused = await api.get(mine, iter_last_key=page[name])
        assert refused.status == 400
        assert "another tenant" in refused.body["message"]


async def test_a_walk_keeps_its_default_window(
    settings: Settings, table: Table, tenant: str
) -> None:
    """Seven days before now are fixed by the first page: later pages do not slide."""
    now = NOON
    table.store(
        Row(tenant, "oldest", NOON - timedelta(days=7)),
        Row(tenant, "too old", NOON - timedelta(days=7, microseconds=1)),
        Row(tenant, "newest", NOON),
        Row(tenant, "later", NOON + timedelta(minutes=5)),
    )
    async with serving(settings, lambda: now) as api:
        first = (await api.get(tenant, page_size=1)).body
        assert [event["id"] for event in first["events"]] == ["newest"]
        now += timedelta(hours=1)
        last = (await api.get(tenant, iter_last_key=first["iter_last_key"])).body
        assert [event["id"] for event in last["events"]] == ["oldest"]
        before = (await api.get(tenant, iter_last_key=first["iter_first_key"])).body
        assert before["events"] == []
        anew = (await api.get(tenant)).body
        assert [event["id"] for event in anew["events"]] == ["later", "newest"]


async def test_a_request_id_is_echoed(api: Api, tenant: str) -> None:
    """An answer and a refusal carry the request's own ID."""
    for path in ("/v1/events", "/v1/events?x=1", "/nowhere"):
        answer = await api.call("GET", path, tenant, headers={"X-Request-ID": "r-1"})
        assert answer.headers["X-Request-ID"] == "r-1"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("DELETE", "/v1/events", 405),
        ("PUT", "/v1/events/query", 405),
        ("POST", "/v1/events/lookup", 405),
    ],
)
async def test_paths_and_methods_that_are_not_ours(
    api: Api, tenant: str, method: str, path: str, status: int
) -> None:
    """404 and 405 have the same shape as any refusal, and 405 names what is allowed."""
    answer = await api.call(method, path, tenant)
    assert (answer.status, answer.body["http_status_code"]) == (status, status)
    assert ("Allow" in answer.headers) == (status == 405)


async def test_bodies(api: Api, table: Table, tenant: str) -> None:
    """A compressed body is read; a corrupt, unknown, overlong or broken one is refused as such."""
    table.store(Row(tenant, "x"))
    good = json.dumps(WINDOW).encode()

    async def post(body: bytes, encoding: str | None = None) -> tuple[int, str]:
        headers = {"Content-Encoding": encoding} if encoding else {}
        answer = await api.call(
            "POST", "/v1/events/query", tenant, data=BytesIO(body), headers=headers
        )
        return answer.status, answer.raw.decode()

    status, text_ = await post(gzip.compress(good), "gzip")
    assert (status, '"id":"x"' in text_) == (200, True)
    assert (await post(b"not gzip", "gzip"))[0] == 400
    assert (await post(good, "snappy"))[0] == 415
    assert (await post(b" " * (1024 * 1024 + 1)))[0] == 413
    assert (await post(gzip.compress(b" " * (64 * 1024 * 1024)), "gzip"))[0] == 413
    assert (await post(b"{"))[0] == 400
    assert (await post(b'{"page_size":0}'))[0] == 400


async def test_health(api: Api) -> None:
    """The process says that it lives, and what it needs says that it answers."""
    assert (await api.call("GET", "/query/livez", None)).body == {"status": "ok"}
    ready = await api.call("GET", "/query/readyz", None)
    assert (ready.status, ready.body) == (200, {"clickhouse": "ok", "keys": "ok"})
