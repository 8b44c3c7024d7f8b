"""Filters on properties: by whole values as text, OR within a key, AND across keys."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pipeline.client import Tenant, event, new_tenant
from tests.support.stack import Stack

PROPERTIES: dict[str, Any] = {
    "number 200": {"status": 200, "method": "GET", "region": "eu"},
    "text 200": {"status": "200", "method": "POST", "region": "eu"},
    "number 2000": {"status": 2000, "method": "GET", "region": "us"},
    "text 20": {"status": "20", "method": "get", "region": "us-east"},
    "true": {"flag": True},
    "text true": {"flag": "true"},
    "false": {"flag": False},
    "big": {"n": 9007199254740993},
    "big's neighbour": {"n": 9007199254740992},
    "big text": {"n": "9007199254740993"},
    "bigger": {"n": 123456789012345678901234567890},
    "negative": {"n": -5},
    "fraction": {"n": 0.5},
    "dotted key": {"a.b": "dotted"},
    "path": {"a": {"b": "path"}},
    "both": {"a.b": "dotted", "a": {"b": "path"}},
    "deep path": {"a": {"b": {"c": "deep"}}},
    "words": {"text": "foo bar"},
    "word": {"text": "foo"},
    "longer word": {"text": "foobar"},
    "upper word": {"text": "FOO"},
    "separators": {"odd": "x:y;z,w\\v"},
    "colon in key": {"k:1": "colon"},
    "semicolon in key": {"k;1": "semicolon"},
    "backslash in key": {"k\\1": "backslash"},
    "quotes in key": {'{"request_size"': "512", 'say "hi"': "quoted"},
    "quotes in value": {"q": 'say "hi"'},
    "apostrophe": {"q": "it's"},
    "newline": {"q": "two\nlines"},
    "unicode": {"città": "Zürich 😀"},
    "percent": {"q": "100%"},
    "space": {"spaced key": " padded "},
    "none": {},
    "other value in another key": {"method": "200", "note": "status"},
    "nested copy": {"outer": {"status": 200}},
    "list": {"status": [200]},
}

# The parameter of GET, the same for POST, and the events that match.
FILTERS: list[tuple[str, dict[str, list[str]], set[str]]] = [
    ("status:200", {"status": ["200"]}, {"number 200", "text 200"}),
    ("status:20", {"status": ["20"]}, {"text 20"}),
    ("status:200,20", {"status": ["200", "20"]}, {"number 200", "text 200", "text 20"}),
    (
        "status:200,2000;method:GET",
        {"status": ["200", "2000"], "method": ["GET"]},
        {"number 200", "number 2000"},
    ),
    (
        "method:GET,POST;region:eu,us;status:200",
        {"method": ["GET", "POST"], "region": ["eu", "us"], "status": ["200"]},
        {"number 200", "text 200"},
    ),
    ("region:us", {"region": ["us"]}, {"number 2000"}),
    ("method:get", {"method": ["get"]}, {"text 20"}),
    ("status:200;method:nothing", {"status": ["200"], "method": ["nothing"]}, set()),
    ("status:200;nothing:200", {"status": ["200"], "nothing": ["200"]}, set()),
    ("nothing:200", {"nothing": ["200"]}, set()),
    ("flag:true", {"flag": ["true"]}, {"true", "text true"}),
    ("flag:false", {"flag": ["false"]}, {"false"}),
    ("flag:1", {"flag": ["1"]}, set()),
    ("n:9007199254740993", {"n": ["9007199254740993"]}, {"big", "big text"}),
    ("n:9007199254740992", {"n": ["9007199254740992"]}, {"big's neighbour"}),
    (
        "n:123456789012345678901234567890",
        {"n": ["123456789012345678901234567890"]},
        {"bigger"},
    ),
    ("n:-5,0.5", {"n": ["-5", "0.5"]}, {"negative", "fraction"}),
    ("a.b:dotted", {"a.b": ["dotted"]}, {"dotted key", "both"}),
    ("a.b:path", {"a.b": ["path"]}, {"path"}),
    ("a.b.c:deep", {"a.b.c": ["deep"]}, {"deep path"}),
    ("outer.status:200", {"outer.status": ["200"]}, {"nested copy"}),
    ("text:foo", {"text": ["foo"]}, {"word"}),
    ("text:foo bar", {"text": ["foo bar"]}, {"words"}),
    ("text:foo,FOO", {"text": ["foo", "FOO"]}, {"word", "upper word"}),
    ("text:fo", {"text": ["fo"]}, set()),
    ("odd:x:y\\;z\\,w\\\\v", {"odd": ["x:y;z,w\\v"]}, {"separators"}),
    ("odd:x\\:y\\;z\\,w\\\\v", {"odd": ["x:y;z,w\\v"]}, {"separators"}),
    ("odd:x:y", {"odd": ["x:y"]}, set()),
    ("k\\:1:colon", {"k:1": ["colon"]}, {"colon in key"}),
    ("k:1:colon", {"k": ["1:colon"]}, set()),
    ("k\\;1:semicolon", {"k;1": ["semicolon"]}, {"semicolon in key"}),
    ("k\\\\1:backslash", {"k\\1": ["backslash"]}, {"backslash in key"}),
    ('{"request_size":512', {'{"request_size"': ["512"]}, {"quotes in key"}),
    ('say "hi":quoted', {'say "hi"': ["quoted"]}, {"quotes in key"}),
    ('q:say "hi",it\'s', {"q": ['say "hi"', "it's"]}, {"quotes in value", "apostrophe"}),
    ("q:two\nlines", {"q": ["two\nlines"]}, {"newline"}),
    ("città:Zürich 😀", {"città": ["Zürich 😀"]}, {"unicode"}),
    ("q:100%", {"q": ["100%"]}, {"percent"}),
    ("q:%", {"q": ["%"]}, set()),
    ("spaced key: padded ", {"spaced key": [" padded "]}, {"space"}),
    ("spaced key:padded", {"spaced key": ["padded"]}, set()),
]
IDS = [text for text, *_ in FILTERS]


@pytest.fixture(scope="module")
def tenant(stack: Stack) -> Tenant:
    """One event of each kind for `acme`, and a twin of each for another customer."""
    tenant = new_tenant(stack, "property-filters")
    events = [event(name, properties=value) for name, value in PROPERTIES.items()]
    twins = [{**one, "event_id": f"{one['event_id']} twin"} for one in events]
    tenant.send_bulk(events + [{**one, "external_customer_id": "twin"} for one in twins])
    tenant.wait_for_count(2 * len(PROPERTIES))
    return tenant


@pytest.mark.parametrize(("text", "mapping", "wanted"), FILTERS, ids=IDS)
def test_a_filter_finds_exactly_what_matches(
    tenant: Tenant, text: str, mapping: dict[str, list[str]], wanted: set[str]
) -> None:
    """As text and as JSON, over everyone and for one customer, a filter finds the same events."""
    everyone = tenant.page(property_filters=text, count_total="true")
    assert {row["id"] for row in everyone["events"]} == wanted | {f"{name} twin" for name in wanted}
    assert everyone["total_count"] == len(everyone["events"]) == 2 * len(wanted)
    acme = {"external_customer_id": "acme"}
    listed = tenant.page(property_filters=text, count_total="true", **acme)
    queried = tenant.query(property_filters=mapping, event_name="call", sort="event_name", **acme)
    for page in (listed, queried):
        assert {row["id"] for row in page["events"]} == wanted
        assert page["total_count"] == len(page["events"]) == len(wanted)


def test_a_filtered_walk_is_exact(tenant: Tenant) -> None:
    """Pages of a filtered walk are full, and the last one says that it is the last."""
    walk = {"property_filters": "status:200,2000,20", "page_size": 3}
    pages = list(tenant.walk(**walk))
    assert [len(page) for page in pages] == [3, 3, 2]
    assert len({row["id"] for page in pages for row in page}) == 8


def test_a_correction_changes_what_a_filter_finds(tenant: Tenant) -> None:
    """After a re-send, the old value finds nothing and the new one finds the event."""
    tenant.send(event("corrected", properties={"phase": "before"}))
    tenant.wait_for("corrected")
    assert tenant.query(property_filters={"phase": ["before"]})["total_count"] == 1
    tenant.send_bulk(
        [event("corrected", properties={"phase": "after"}), event("later", properties={})]
    )
    tenant.wait_for("later")
    tenant.stack.wait_until_stored()
    for filters in ({}, {"external_customer_id": "acme"}):
        before = tenant.query(property_filters={"phase": ["before"]}, **filters)
        after = tenant.query(property_filters={"phase": ["after"]}, **filters)
        assert (before["total_count"], after["total_count"]) == (0, 1)
