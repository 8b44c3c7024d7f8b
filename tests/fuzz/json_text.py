"""JSON with whatever no serializer writes: duplicated keys, numbers of any size, broken escapes."""

from __future__ import annotations

import json
from random import Random
from typing import Any


class Raw(str):
    """A value that is written as it stands."""

    __slots__ = ()


class Pairs(list[Any]):
    """An object as a list of [key, value]; keys may come twice. A key may be `Raw`, too."""


NASTY = [
    *("null", "true", "false", "0", "-0", "-1", "1e308", "1e999", "-1e999", "1e-999", "0.1e1"),
    *(
        "9007199254740993",
        "9223372036854775808",
        "18446744073709551616",
        "1" * 400,
        "-" + "9" * 5000,
    ),
    *("NaN", "Infinity", "-Infinity", "01", "+1", "1.", ".5", "0x10", "1e", "--1", "\x00", "'a'"),
    *(
        '""',
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\u0000"',
        '"\\x"',
        '"\\u12"',
        '"a',
        '"\x01"',
        '"\t"',
    ),
    *('"é"', '"😀"', '"\\ud83d\\ude00"', '"\\uffff"', '"' + "x" * 256 + '"', '"' + "é" * 600 + '"'),
    *(
        "[]",
        "{}",
        "[[]]",
        "[null]",
        '{"":""}',
        "[1,]",
        '{"a":1,}',
        "{a:1}",
        "[1 2]",
        '{"a" 1}',
        "//x",
    ),
    *('"2026-13-01T00:00:00Z"', '"2026-02-30T00:00:00Z"', '"2026-03-01"', '"2026-03-01T00:00:00"'),
    *('"0000-00-00T00:00:00Z"', '"9999-12-31T23:59:59.999999999-23:59"', '"1970-01-01T00:00:00Z"'),
    *('"2026-03-01T24:00:00Z"', '"2026-03-01T12:00:60Z"', '"12026-03-01T00:00:00Z"', '"now"'),
    *(
        '"true"',
        '"1"',
        '"-1"',
        '"1e3"',
        '"1.0"',
        '"9223372036854775808"',
        '"../../x"',
        '"a:b;c:d,e"',
    ),
    *(
        '"%00"',
        '"\\\\"',
        '"\\""',
        '"\';DROP TABLE events;--"',
        '"{p:String}"',
        '"\\n\\r"',
        '"a\\u0000b"',
    ),
]


def parse(text: bytes) -> Any:
    """Read JSON, or NDJSON as a `Lines`, into values whose objects are `Pairs`."""

    def pairs(found: list[tuple[str, Any]]) -> Pairs:
        return Pairs([key, value] for key, value in found)

    return json.loads(text, object_pairs_hook=pairs)


def dump(value: Any) -> bytes:
    """Write it; lone surrogates as the bytes they stand for."""
    return "".join(_parts(value)).encode("utf-8", "surrogatepass")


def _parts(value: Any) -> list[str]:
    if isinstance(value, Raw):
        return [value]
    if isinstance(value, Pairs):
        found = ["{"]
        for number, pair in enumerate(value):  # which a change may have made anything
            key, one = pair if type(pair) is list and len(pair) == 2 else ("x", pair)
            found += ["," if number else "", *_parts(key), ":", *_parts(one)]
        return [*found, "}"]
    if isinstance(value, list):
        found = ["["]
        for number, one in enumerate(value):
            found += ["," if number else "", *_parts(one)]
        return [*found, "]"]
    return [json.dumps(value, ensure_ascii=False)]


def nasty(random: Random) -> Any:
    """A value that something might stumble over."""
    kind = random.random()
    if kind < 0.72:
        return Raw(random.choice(NASTY))
    if kind < 0.9:
        depth = random.choice((2, 31, 32, 33, 34, 200, 1_200, 5_000, 50_000))
        opening, closing = random.choice((("[", "]"), ('{"a":', "}")))
        unclosed = random.random() < 0.2
        return Raw(opening * depth + "1" + ("" if unclosed else closing * depth))
    if kind < 0.97:
        size = random.choice((255, 256, 257, 512, 513, 5_000, 65_536, 70_000, 200_000))
        return random.choice("xé\x7f\u2028") * size
    return [Pairs() for _ in range(random.choice((10, 1_000, 10_001)))]


def places(value: Any) -> list[tuple[Any, int]]:
    """Every place of a value as its container and its index there; of a pair both key and value."""
    found: list[tuple[Any, int]] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            for index, inner in enumerate(one):
                found.append((one, index))
                waiting.append(inner)
    return found


def change(value: Any, random: Random) -> Any:
    """Change one thing; the value given is used up."""
    found = places(value)
    if not found or random.random() < 0.02:
        return nasty(random)
    container, index = random.choice(found)
    how = random.randrange(8)
    if how <= 2:
        container[index] = nasty(random)
    elif how == 3 and not _is_pair(container):
        del container[index]
    elif how == 4 and not _is_pair(container):
        container.insert(random.randrange(len(container) + 1), container[index])
    elif how == 5:
        other, at = random.choice(found)
        if not _contains(container[index], other):
            other[at] = container[index]
    elif how == 6 and isinstance(container, Pairs):
        container.append([random.choice(("x", "", "event_id", Raw('"\\ud800"'))), nasty(random)])
    else:
        container[index] = [container[index]]
    return value


def _is_pair(container: Any) -> bool:
    """Whether it is a key with its value, of which neither may be left out."""
    return type(container) is list and len(container) == 2


def _contains(value: Any, container: Any) -> bool:
    return value is container or any(inner is container for inner, _ in places(value))
