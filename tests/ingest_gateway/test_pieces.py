"""Cutting uploads into events: the same events, whatever the cuts of the bytes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest_gateway.pieces import MAX_EVENT_BYTES, Elements, Lines, Splitter
from schemas.errors import ApiError

pytestmark = pytest.mark.unit

TEXTS = st.text(st.sampled_from('ab{}[],"\\:\u00e9\u20ac\U0001f600 \r'), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("nce") | TEXTS, VALUES, max_size=4)
BLANKS = st.sampled_from(["", " ", "\t", " \r", "\n  "])


def cut(splitter: Splitter, data: bytes, sizes: list[int]) -> dict[int, bytes | None]:
    """Feed the data in chunks of these sizes, over and over; give the events by place."""
    found: dict[int, bytes | None] = {}
    pieces = []
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        pieces += list(splitter.feed(data[at : at + size]))
        at, turn = at + size, turn + 1
    pieces += list(splitter.finish())
    for piece in pieces:
        for place, event in zip(piece.places, piece.events, strict=True):
            assert place not in found
            found[place] = None if event is None else bytes(event)
    assert list(found) == sorted(found)
    assert splitter.held_bytes == 0
    return found


def parsed(found: dict[int, bytes | None]) -> dict[int, Any]:
    return {place: json.loads(event or b"") for place, event in found.items()}


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=5)


@given(
    lines=st.lists(OBJECTS | st.none(), max_size=12),
    ascii_only=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
    ends=st.booleans(),
    mark=st.booleans(),
    sizes=SIZES,
)
def test_lines_come_back_at_their_places(
    lines: list[Any], ascii_only: bool, end: str, ends: bool, mark: bool, sizes: list[int]
) -> None:
    """Blank lines count and hold nothing; CRLF, a byte order mark and a last line without its end
    are all right; characters may be cut in two.
    """
    texts = ["" if line is None else json.dumps(line, ensure_ascii=ascii_only) for line in lines]
    text = end.join(texts) + (end if ends else "")
    data = (b"\xef\xbb\xbf" if mark else b"") + text.encode()
    expected = {place: line for place, line in enumerate(lines) if line is not None}
    assert parsed(cut(Lines(), data, sizes)) == expected


@settings(max_examples=300)
@given(
    elements=st.lists(OBJECTS | VALUES, max_size=12),
    ascii_only=st.booleans(),
    blank=BLANKS,
    mark=st.booleans(),
    sizes=SIZES,
)
@example(elements=[{"n": [{"n": 1}, {"n": 2}]}] * 3, ascii_only=True, blank="", mark=0, sizes=[7])
@example(elements=[{"n": '},{"n"'}, {"n": 2}], ascii_only=True, blank="", mark=0, sizes=[7])
def test_elements_come_back_at_their_places(
    elements: list[Any], ascii_only: bool, blank: str, mark: bool, sizes: list[int]
) -> None:
    """Braces, quotes and escapes inside strings and values inside values mislead nobody."""
    separators = (f"{blank},{blank}", f"{blank}:{blank}")
    text = json.dumps(elements, ensure_ascii=ascii_only, separators=separators)
    data = f"{blank}{text}{blank}".encode()
    with_mark = (b"\xef\xbb\xbf" if mark else b"") + data
    assert parsed(cut(Elements(), with_mark, sizes)) == dict(enumerate(elements))
    assert parsed(cut(small_blocks(), data, sizes)) == dict(enumerate(elements))


class small_blocks(Elements):  # noqa: N801 (it stands for a call)
    """Cuts whenever something comes, not once in 256 KiB, so that short arrays meet every cut."""

    def feed(self, data: bytes) -> Any:
        self._block += data
        yield from self._cut()


@given(
    st.binary(max_size=30).map(lambda tail: b"[" + tail) | st.text('{}[]",: 1n\\').map(str.encode)
)
def test_elements_of_anything_that_is_an_array_are_its_elements(data: bytes) -> None:
    """What JSON takes for an array has the same elements here; what it does not is refused, here
    or when the elements are read.
    """
    try:
        expected = json.loads(data)
    except (ValueError, RecursionError):
        expected = None
    try:
        found = parsed(cut(small_blocks(), data, [5, 3]))
    except (ApiError, ValueError):
        assert not isinstance(expected, list) or re.search(rb"NaN|Infinity", data)
    else:
        assert found == dict(enumerate(expected))


def test_events_whose_first_key_is_inside_too_are_cut_where_they_end() -> None:
    """Many large events, cut fast where that is sure and one by one where it is not."""
    inner = [{"n": number, "m": "x" * 50} for number in range(100)]
    events = [{"n": "a", "p": inner}, {"n": '},{"n"'}, {"m": 1}, {"n": "\\"}] * 100
    data = json.dumps(events).encode()
    assert parsed(cut(Elements(), data, [65536])) == dict(enumerate(events))


@pytest.mark.parametrize("at_byte", [0, 300 * 1024])
def test_bytes_that_are_no_utf8_are_pointed_out(at_byte: int) -> None:
    """So that the reader looks at each of them; the others are not in doubt."""
    for splitter, start, between in ((Lines(), b"", b"\n"), (Elements(), b"[", b",")):
        event = b'{"n":"' + b"n" * 1000 + b'"}'
        events = [event] * 1000
        events[at_byte // 1003] = b'{"n":"\xff"}'
        end = b"]" if start else b""
        data = start + between.join(events) + end
        pieces = []
        for at in range(0, len(data), 65536):
            pieces += list(splitter.feed(data[at : at + 65536]))
        pieces += list(splitter.finish())
        assert sum(not piece.is_utf8 for piece in pieces) == 1
        assert sum(len(piece.events) for piece in pieces) == 1000


def test_a_line_that_is_too_long_is_none_and_costs_no_memory() -> None:
    """Even one that would be an event but for what is thrown away."""
    splitter = Lines()
    pieces = list(splitter.feed(b'{"a":1}\n{"b":2}'))
    for _ in range(1000):
        pieces += list(splitter.feed(b" " * 10_000))
        assert splitter.held_bytes < MAX_EVENT_BYTES + 20_000
    pieces += list(splitter.feed(b'x\n{"c":3}\n'))
    events = [event for piece in pieces for event in piece.events]
    assert events == [b'{"a":1}', None, b'{"c":3}']


@pytest.mark.parametrize(
    "data",
    [b'[{"a":"' + b"x" * 900_000 + b'"}]', b"[" + b" " * 900_000 + b"1]", b"[" * 900_000],
    ids=["long", "blank", "deep"],
)
def test_an_element_that_is_too_long_is_refused_early(data: bytes) -> None:
    """Nothing more is read of it than the limit and a chunk."""
    splitter = Elements()

    def feed_all() -> None:
        for at in range(0, len(data), 65536):
            list(splitter.feed(data[at : at + 65536]))

    with pytest.raises(ApiError, match=r"element 0 .* over 256 KiB"):
        feed_all()
    assert splitter.held_bytes <= MAX_EVENT_BYTES + 65536


def test_an_element_over_the_limit_in_one_block_is_none() -> None:
    """Where it lies in the bytes makes no difference."""
    long = json.dumps({"a": "x" * MAX_EVENT_BYTES}).encode()
    for data in (b"[%b]" % long, b'[%b,{"a":1}]' % long):
        found = cut(Elements(), data, [1 << 20])
        assert found[0] is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1,2", "element 1 .* must end in ]"),
        ("[", "element 0 .* must end in ]"),
        ("[1]x", "something comes after its ]"),
        ('[{"a":1}]}', "something comes after its ]"),
        ('[{"a":"]', "element 0 .* must end in ]"),
        ("{}", "must begin with"),
        ("", "must end in ]"),
    ],
)
def test_what_is_no_array_as_a_whole_is_refused(text: str, reason: str) -> None:
    """With the place where it ends to be one."""
    with pytest.raises(ApiError, match=reason):
        cut(Elements(), text.encode(), [100])


@pytest.mark.parametrize("text", ["[1,]", "[,1]", "[1,,1]", "[,]", "[1 1]"])
def test_a_comma_too_many_is_an_element_that_can_not_be_read(text: str) -> None:
    """It is refused like any bad event, by its index."""
    try:
        found = cut(Elements(), text.encode(), [100])
    except ApiError:
        return
    with pytest.raises(ValueError, match=r"Expecting value|Extra data"):
        parsed(found)
