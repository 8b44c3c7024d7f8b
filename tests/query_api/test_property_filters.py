"""What a property filter matches, asked of the real engine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.query_api.conftest import Api
from tests.query_api.rows import Row, Table, at, text

WINDOW = {"start_time": text(at(-60)), "end_time": text(at(60)), "order": "asc"}


def store(table: Table, tenant: str, **properties: str) -> None:
    """Store one event for each: its ID, and its properties as JSON text."""
    table.insert(*(Row(tenant, name, properties=value) for name, value in properties.items()))


async def find(api: Api, tenant: str, key: str, *values: str) -> list[str]:
    return await api.listed(tenant, **WINDOW, property_filters={key: list(values)})


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        ("200", "200"),
        ('"200"', "200"),
        ("1.50", "1.5"),
        ("1.5", "1.50"),
        ("1e2", "100"),
        ("100", "1E+2"),
        ("-0", "0"),
        ("1E-7", "0.0000001"),
        ("1e21", "1000000000000000000000.0"),
        ("0.1", "0.1"),
        ("5e-324", "5e-324"),
        ("9007199254740993", "9007199254740993"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "18446744073709551616"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("1" * 60, "1" * 60),
        ("true", "true"),
        ("false", "false"),
        ("null", "null"),
        ('"null"', "null"),
        ('""', ""),
        ('"ü\\u00fc\\n\\"\\\\"', 'üü\n"\\'),
        ('"\U0001f600"', "\U0001f600"),
        ('" a "', " a "),
        ('"01"', "01"),
        ('[1, "a"]', '[1,"a"]'),
        ('{"a": 1.50}', '{"a":1.5}'),
    ],
)
async def test_a_value_matches_its_text(
    api: Api, table: Table, tenant: str, stored: str, wanted: str
) -> None:
    """A JSON value is found by its text, a number in any form of the same number."""
    store(table, tenant, it=f'{{"k": {stored}}}')
    assert await find(api, tenant, "k", wanted) == ["it"]
    assert await find(api, tenant, "k", "other", wanted) == ["it"]


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        ("9007199254740993", "9007199254740992"),
        ("9007199254740992", "9007199254740993"),
        ("18446744073709551616", "18446744073709551617"),
        ('"1.50"', "1.5"),
        ('"1.5"', "1.50"),
        ("1", "01"),
        ("1", "true"),
        ("true", "True"),
        ("null", ""),
        ('""', "null"),
        ("[]", ""),
        ("1", "1e999"),
        ("1", "1 "),
        ("1", "+1"),
        ('"a"', '"a"'),
        ('"a"', "A"),
        ('"a"', "a%"),
    ],
)
async def test_a_value_matches_nothing_else(
    api: Api, table: Table, tenant: str, stored: str, wanted: str
) -> None:
    """Neighbouring integers, texts that look like numbers, and other types are told apart."""
    store(table, tenant, it=f'{{"k": {stored}}}')
    assert await find(api, tenant, "k", wanted) == []


async def test_a_missing_key_matches_nothing(api: Api, table: Table, tenant: str) -> None:
    """An event without the key has no value, not even null or the empty text."""
    store(table, tenant, without='{"other": 1}', empty="{}")
    for value in ("null", "", "1e999", "0"):
        assert await find(api, tenant, "k", value) == []
        assert await find(api, tenant, "a.b", value) == []


@pytest.mark.parametrize(
    "key",
    [
        '{"request_size"',
        "",
        " ",
        "ключ",
        "\U0001f511",
        "it's",
        "back\\slash",
        "new\nline",
        "nul\0",
        "tab\t",
        "semi;colon:comma,",
        "1",
        "-1",
        "{key:String}",
        "a..b",
        ".",
    ],
)
async def test_keys_may_hold_any_character(api: Api, table: Table, tenant: str, key: str) -> None:
    """A key is compared as it was sent, however odd."""
    store(table, tenant, it=json.dumps({key: "x", "other": "y"}), escaped=json.dumps({"x": key}))
    assert await find(api, tenant, key, "x") == ["it"]
    assert await find(api, tenant, key, "y") == []
    assert await find(api, tenant, "x", key) == ["escaped"]


async def test_a_dotted_key_is_a_key_first_and_a_path_else(
    api: Api, table: Table, tenant: str
) -> None:
    """``a.b`` means the key of that name where the event has one, or else the path."""
    store(
        table,
        tenant,
        key='{"a.b": "x"}',
        path='{"a": {"b": "x"}}',
        both='{"a.b": "y", "a": {"b": "x"}}',
        null='{"a.b": null, "a": {"b": "x"}}',
        array='{"a": [{"b": "x"}]}',
        deep='{"a": {"b": {"c": 1.50}}}',
    )
    assert await find(api, tenant, "a.b", "x") == ["key", "path"]
    assert await find(api, tenant, "a.b", "y") == ["both"]
    assert await find(api, tenant, "a.b", "null") == ["null"]
    assert await find(api, tenant, "a.b.c", "1.5") == ["deep"]


async def test_any_value_of_a_key_and_every_key(api: Api, table: Table, tenant: str) -> None:
    """Within a key any of the values, across keys all of them, in a URL as in JSON."""
    combinations = [(a, b) for a in (1, 2, 3) for b in (1, 2, 3)]
    store(table, tenant, **{f"{a}{b}": json.dumps({"a": a, "b": b}) for a, b in combinations})
    in_json: dict[str, Any] = {"property_filters": {"a": ["1", "2"], "b": ["2", "3"]}}
    assert await api.listed(tenant, **WINDOW, **in_json) == ["12", "13", "22", "23"]
    answer = await api.get(tenant, **WINDOW, property_filters="a:1,2;b:2,3")
    assert [event["id"] for event in answer.body["events"]] == ["12", "13", "22", "23"]


async def test_as_many_values_as_allowed(api: Api, table: Table, tenant: str) -> None:
    """The largest filter that is allowed is also answered."""
    store(table, tenant, it='{"k": 999}')
    assert await find(api, tenant, "k", *map(str, range(1000))) == ["it"]
    long = "x" * 20_000
    store(table, tenant, long=json.dumps({"k": long}))
    assert await find(api, tenant, "k", long) == ["long"]
