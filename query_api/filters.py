r"""Filters on properties: their grammar in a URL, and their condition in SQL.

``key1:v1,v2;key2:v3``: any of the values within a key, all of the keys. ``\`` escapes a separator
or itself; before anything else it stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schemas.event import MAX_PROPERTIES_DEPTH
from schemas.flexprice import MAX_FILTER_KEYS, MAX_FILTER_VALUES


class PropertyFilter(NamedTuple):
    """The property ``key`` has the text of one of ``values``."""

    key: str
    values: tuple[str, ...]


def parse(text: str) -> tuple[PropertyFilter, ...]:
    """Read the form that stands in a URL. Raises ValueError, with a text for the sender."""
    groups: dict[str, list[str]] = {}
    for key, values in map(_parse_group, _split_groups(text)):
        if key in groups:
            raise ValueError(f"the key {key[:64]!r} stands there twice; join its values with ','")
        groups[key] = values
    return check(groups)


def check(groups: Mapping[str, Sequence[str]]) -> tuple[PropertyFilter, ...]:
    """Take the form that stands in a JSON body. Raises ValueError, with a text for the sender."""
    for key, values in groups.items():
        if not values:
            raise ValueError(f"the key {key[:64]!r} has no values")
    if len(groups) > MAX_FILTER_KEYS:
        raise ValueError(f"{len(groups)} keys, at most {MAX_FILTER_KEYS} are allowed")
    if (count := sum(map(len, groups.values()))) > MAX_FILTER_VALUES:
        raise ValueError(f"{count} values, at most {MAX_FILTER_VALUES} are allowed")
    return tuple(PropertyFilter(key, tuple(values)) for key, values in groups.items())


class _Token(NamedTuple):
    text: str
    is_separator: bool


_TOKEN = re.compile(r"\\([\\:;,])|([:;,])|([^\\:;,]+|\\)", re.DOTALL)


def _split_groups(text: str) -> list[list[_Token]]:
    groups: list[list[_Token]] = [[]]
    for escaped, separator, plain in _TOKEN.findall(text):
        if separator == ";":
            groups.append([])
        else:
            groups[-1].append(_Token(escaped or separator or plain, bool(separator)))
    return groups


def _parse_group(tokens: list[_Token]) -> tuple[str, list[str]]:
    parts = [""]
    has_key = False
    for token in tokens:
        # The first ':' ends the key; only after it do commas separate, and colons no longer.
        if token.is_separator and (token.text == ",") == has_key:
            parts.append("")
            has_key = True
        else:
            parts[-1] += token.text
    key, *values = parts
    whole = "".join(token.text for token in tokens)[:64]
    if not has_key:
        raise ValueError(f"the group {whole!r} has no ':' between key and values")
    if not key:
        raise ValueError(f"the group {whole!r} has no key before its ':'")
    if "" in values:
        raise ValueError(f"the group {whole!r} has an empty value")
    return key, values


_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def conditions(filters: Sequence[PropertyFilter]) -> tuple[list[str], dict[str, object]]:
    """Give one SQL condition a filter, to be joined by AND, and the parameters that they name."""
    sqls: list[str] = []
    parameters: dict[str, object] = {}
    for index, (key, values) in enumerate(filters):
        name = f"property_{index}"
        parameters[name] = key
        parameters[f"{name}_texts"] = list(values)
        if numbers := [value for value in values if _JSON_NUMBER.fullmatch(value)]:
            parameters[f"{name}_numbers"] = numbers
        whole = f"{{{name}:String}}"
        sql = _matches(whole, name, has_numbers=bool(numbers))
        steps = key.split(".")
        if 1 < len(steps) <= MAX_PROPERTIES_DEPTH:
            parameters |= {f"{name}_step_{number}": step for number, step in enumerate(steps)}
            path = ", ".join(f"{{{name}_step_{number}:String}}" for number in range(len(steps)))
            along_path = _matches(path, name, has_numbers=bool(numbers))
            sql = f"if(JSONHas(properties, {whole}), {sql}, {along_path})"
        sqls.append(sql)
    return sqls, parameters


def _matches(path: str, name: str, *, has_numbers: bool) -> str:
    """Compare the text of the value at ``path``, if there is one.

    ClickHouse gives a number's text in one canonical form (1.50 as 1.5, 1e2 as 100), so the
    filter's numbers are put through the same function. An integer beyond 64 bits it gives as a
    String of its digits. The text of null, and of nothing, is "".
    """
    text = f"JSONExtractString(properties, {path})"
    kind = f"JSONType(properties, {path})"
    texts = f"{{{name}_texts:Array(String)}}"
    other = f"has({texts}, {text})"
    if has_numbers:
        canonical = (
            "arrayMap(number -> JSONExtractString(concat('[', number, ']'), 1), "
            f"{{{name}_numbers:Array(String)}})"
        )
        other = f"({other} OR has({canonical}, {text}))"
    return (
        f"multiIf({kind} = 'String', has({texts}, {text}), "
        f"{kind} = 'Null', has({texts}, 'null') AND JSONHas(properties, {path}), {other})"
    )
