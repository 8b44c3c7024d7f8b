from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.filters import PropertyFilter, check, conditions, parse
from schemas.flexprice import MAX_FILTER_KEYS, MAX_FILTER_VALUES

pytestmark = pytest.mark.unit

nonempty = st.text(min_size=1)


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("a:1", {"a": ("1",)}),
        ("a:1,2;b:3", {"a": ("1", "2"), "b": ("3",)}),
        ("time:12:30,13:00", {"time": ("12:30", "13:00")}),
        ("a,b:1", {"a,b": ("1",)}),
        (r"a\:b:c\,d,e", {"a:b": ("c,d", "e")}),
        (r"a:b\;c", {"a": ("b;c",)}),
        (r"a\\:b", {"a\\": ("b",)}),
        (r"path:C:\temp", {"path": (r"C:\temp",)}),
        ("a:b\\", {"a": ("b\\",)}),
        (" a : 1 ", {" a ": (" 1 ",)}),
        ('{"request_size":200', {'{"request_size"': ("200",)}),
        ("schlüssel:größe", {"schlüssel": ("größe",)}),
        ("a:b\nc", {"a": ("b\nc",)}),
    ],
)
def test_reads_groups(text: str, groups: dict[str, tuple[str, ...]]) -> None:
    """Groups split at ';', at their first ':' and then at ',', unless a backslash escapes it."""
    assert parse(text) == tuple(PropertyFilter(*group) for group in groups.items())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a", "no ':'"),
        ("a:1;b", "'b' has no ':'"),
        (r"a\:1", "no ':'"),
        (":1", "no key"),
        ("a:", "empty value"),
        ("a:1,,2", "empty value"),
        ("a:1;", "no ':'"),
        (";a:1", "no ':'"),
        ("a:1;a:2", "twice"),
    ],
)
def test_refuses_a_malformed_group(text: str, reason: str) -> None:
    """A group without key, ':' or value, or a key given twice, is refused with the reason."""
    with pytest.raises(ValueError, match=reason):
        parse(text)


@given(st.dictionaries(nonempty, st.lists(nonempty, min_size=1, max_size=5), min_size=1))
def test_escaping_every_separator_keeps_any_text(groups: dict[str, list[str]]) -> None:
    """Any keys and values survive the form in the URL when their separators are escaped."""

    def escape(text: str) -> str:
        return re.sub(r"([\\:;,])", r"\\\1", text)

    text = ";".join(
        escape(key) + ":" + ",".join(map(escape, values)) for key, values in groups.items()
    )
    if len(groups) <= MAX_FILTER_KEYS:
        assert parse(text) == check(groups)


def test_limits_what_one_query_may_ask() -> None:
    """Too many keys or values, and a key without any, are refused; empty texts in JSON are not."""
    assert check({"": [""]}) == (PropertyFilter("", ("",)),)
    with pytest.raises(ValueError, match="no values"):
        check({"a": []})
    with pytest.raises(ValueError, match=f"at most {MAX_FILTER_KEYS}"):
        check({str(number): ["1"] for number in range(MAX_FILTER_KEYS + 1)})
    with pytest.raises(ValueError, match=f"at most {MAX_FILTER_VALUES}"):
        check({"a": ["1"] * (MAX_FILTER_VALUES + 1)})


def test_sql_names_only_parameters() -> None:
    """Neither keys nor values stand in the SQL; each stands in a parameter that the SQL names."""
    sqls, parameters = conditions(
        [PropertyFilter("it's.a\\key", ("o'clock", "17.5")), PropertyFilter("plain", ("x",))]
    )
    sql = " ".join(sqls)
    assert not re.search(r"it's|key\b|o'clock|17|plain", sql)
    assert set(re.findall(r"\{(\w+):", sql)) == set(parameters)
    assert parameters["property_0_numbers"] == ["17.5"]


def test_a_path_deeper_than_properties_can_be_is_only_a_key() -> None:
    """A key with a thousand dots costs no thousand parameters."""
    _, parameters = conditions([PropertyFilter("." * 1000, ("x",))])
    assert len(parameters) == 2
