"""Questions that can't be answered: a 400 that names the parameter, never an empty page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.pipeline.client import Tenant, ago, assert_refused, event, new_tenant
from tests.support.stack import Stack

BAD_PARAMETERS = [
    *(("page_size", value) for value in ("0", "-1", "abc", "1.5", "", "1e2", " 5", "0x10")),
    *(("offset", value) for value in ("-1", "abc", "1.5", "", "99999999999999999999999")),
    *(("sort", value) for value in ("Timestamp", "EVENT_NAME", "id", "", "timestamp desc")),
    *(("order", value) for value in ("DESC", "Asc", "descending", "", "desc;")),
    *(
        (name, value)
        for name in ("start_time", "end_time")
        for value in (
            "2026-01-02T03:04:05",
            "2026-01-02",
            "now",
            "1700000000",
            "",
            "2024-02-30T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
        )
    ),
    *(
        ("property_filters", value)
        for value in ("a", ":1", "a:", ";", "a:1;", ";a:1", "a:1;;b:2", "a:1,", "a:,1", "a:1;b", "")
    ),
    *(("count_total", value) for value in ("maybe", "", "2", "yes please")),
    *((name, "") for name in ("event_id", "event_name", "external_customer_id", "source")),
    ("pagesize", "5"),
    ("Page_Size", "5"),
    ("customer", "acme"),
    ("limit", "5"),
]

BAD_BODIES: list[tuple[str, Any]] = [
    *(("page_size", value) for value in (0, -1, "5", 1.5, True, [], {})),
    *(("offset", value) for value in (-1, "1", 1.5, True, 10**30)),
    *(("sort", value) for value in ("Timestamp", "", 5, ["timestamp"])),
    *(("order", value) for value in ("DESC", "", 5, ["asc"])),
    *(
        (name, value)
        for name in ("start_time", "end_time")
        for value in ("2026-01-02T03:04:05", "now", "", 1700000000, "2024-02-30T00:00:00Z")
    ),
    *(
        ("property_filters", value)
        for value in ("a:1", [], [{"a": ["1"]}], {"a": "1"}, {"a": 1}, {"a": []}, {"a": [1]})
    ),
    ("property_filters", {"a": [["1"]]}),
    ("property_filters", {"a": [None]}),
    *(("count_total", value) for value in ("true", 1, [])),
    *((name, value) for name in ("event_id", "event_name", "source") for value in (5, [], "")),
    ("external_customer_id", 5),
    ("iter_last_key", 5),
    ("iter_first_key", ["x"]),
    ("pageSize", 5),
    ("filters", []),
]


@pytest.fixture(scope="module")
def tenant(stack: Stack) -> Tenant:
    tenant = new_tenant(stack, "bad-query")
    tenant.send_bulk([event(f"e{number}", timestamp=ago(minutes=number)) for number in range(5)])
    tenant.wait_for_count(5)
    return tenant


@pytest.mark.parametrize(("name", "value"), BAD_PARAMETERS)
def test_a_bad_parameter_of_the_list_is_a_400_that_names_it(
    tenant: Tenant, name: str, value: str
) -> None:
    """Each bad value and each unknown parameter of GET /v1/events is refused by its name."""
    assert_refused(tenant.get_list(**{name: value}), 400, name)


@pytest.mark.parametrize(("name", "value"), BAD_BODIES)
def test_a_bad_field_of_a_query_is_a_400_that_names_it(
    tenant: Tenant, name: str, value: Any
) -> None:
    """Each bad value and each unknown field of POST /v1/events/query is refused by its name."""
    assert_refused(tenant.post("/v1/events/query", {name: value}), 400, name)


@pytest.mark.parametrize("name", ["page_size", "order", "event_id", "count_total"])
def test_a_parameter_given_twice_is_a_400(tenant: Tenant, name: str) -> None:
    """Of two values neither is picked in silence."""
    values = {"page_size": ("1", "2"), "order": ("asc", "desc"), "count_total": ("true", "false")}
    pairs = [(name, value) for value in values.get(name, ("e1", "e2"))]
    assert_refused(tenant.request("GET", f"/v1/events?{urlencode(pairs)}"), 400, name)


def test_a_start_after_the_end_is_a_400(tenant: Tenant) -> None:
    """A window that ends before it starts is refused, one of a single instant is not."""
    bounds = {"start_time": ago(hours=1), "end_time": ago(hours=2)}
    assert_refused(tenant.get_list(**bounds), 400, "start_time")
    assert_refused(tenant.post("/v1/events/query", bounds), 400, "start_time")
    same = {"start_time": bounds["end_time"], "end_time": bounds["end_time"]}
    assert tenant.page(**same)["events"] == []


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b'"x"', b"{}{}"),
        b'{"event_name":"\\xff"}',
        b'{"page_size":NaN}',
        b'{"property_filters":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_query_that_is_no_json_object_is_a_400(tenant: Tenant, body: bytes) -> None:
    """The body of a query is a JSON object in UTF-8."""
    assert_refused(tenant.request("POST", "/v1/events/query", body), 400)


@pytest.mark.parametrize("name", ["event_id", "event_name", "external_customer_id", "source"])
@pytest.mark.parametrize(
    "value",
    ["' OR 1=1 --", "{x:String}", "%s", "\\", "\\'", "\0", "a\nb", "x" * 5000, "🎉", "?"],
    ids=lambda value: repr(value[:10]),
)
def test_no_value_of_a_filter_is_more_than_a_value(tenant: Tenant, name: str, value: str) -> None:
    """Quotes, placeholders and control characters match nothing, and break nothing."""
    page = tenant.page(**{name: value}, count_total="true")
    assert (page["events"], page["total_count"]) == ([], 0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("a' OR 1=1 --", "1"),
        ("a", "' OR '1'='1"),
        ("{a:String}", "%s"),
        ("$", "$"),
        ("a.", ".a"),
        ("..", "."),
        ("a[0]", "*"),
        ('"', '"'),
        ("\\", "\\"),
        ("\0", "\0"),
        ("a\nb", "\t"),
        ("k" * 3000, "v" * 3000),
        ("%", "_"),
    ],
    ids=lambda text: repr(text[:10]),
)
def test_no_property_filter_is_more_than_text(tenant: Tenant, key: str, value: str) -> None:
    """A key or value of any characters matches nothing here, in both calls."""
    assert tenant.query(property_filters={key: [value]})["events"] == []
    group = ":".join(
        "".join("\\" + letter if letter in "\\:;," else letter for letter in text)
        for text in (key, value)
    )
    assert tenant.page(property_filters=group)["events"] == []
