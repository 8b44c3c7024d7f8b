"""NDJSON lines into events: untouched if whole, completed if not, refused if no JSON object."""

from __future__ import annotations

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.load.lines import EventIds, Prepared, Refusal, prepare_lines
from deploy.load.reader import MAX_LINE_BYTES

pytestmark = pytest.mark.unit


def prepare(*lines: bytes, name: str = "f", **constants: str) -> list[Prepared]:
    return list(prepare_lines(lines, EventIds(name), constants))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(json_values, st.sampled_from([b"", b" ", b"\r", b"\t \r"]))
def test_a_line_with_an_id_is_not_touched(value: object, blank: bytes) -> None:
    """Whatever else it holds goes as it came, but for blanks around it."""
    line = json.dumps({"x": value, "event_id": "a"}, ensure_ascii=False).encode()

    assert prepare(blank + line + blank) == [(1, line)]


@given(json_values)
def test_a_line_without_an_id_keeps_the_rest(value: object) -> None:
    """The ID is added to what is there; numbers keep their digits."""
    line = json.dumps({"x": value, "n": 0}).replace('"n": 0', '"n": 1.50e2').encode()

    ((number, text),) = prepare(line)  # type: ignore[misc]  # it is not refused

    assert number == 1
    assert b"1.50e2" in text
    event = json.loads(text)
    assert uuid.UUID(event.pop("event_id")).version == 5
    assert event == json.loads(line)


@given(st.lists(st.sampled_from('{}[]",:01e.-\\u \x01n') | st.sampled_from(["null", '"a":'])))
def test_no_line_can_break_the_body(pieces: list[str]) -> None:
    """A line that is not refused is one JSON object to a strict reader, also inside an array."""
    line = ("{" + "".join(pieces) + "}").encode()

    for prepared in prepare(line):
        if not isinstance(prepared, Refusal):
            (event,) = json.loads(b"[" + prepared[1] + b"]")
            assert isinstance(event, dict)


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"12",
        b'{"a":1',
        b'{"a":1}}',
        b'{"a":1},{"b":2}',
        b'{"a":NaN}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"tab\there"}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_json_object_is_refused(line: bytes) -> None:
    """It is named by its number, and its neighbours are not concerned."""
    good = b'{"event_id":"a"}'

    first, bad, last = prepare(good, line, good)

    assert (first, last) == ((1, good), (3, good))
    assert isinstance(bad, Refusal)
    assert str(bad).startswith("line 2: is no JSON object: ")


def test_blank_lines_count_but_say_nothing() -> None:
    """The numbers are those that an editor shows."""
    assert prepare(b"", b" \r", b'{"event_id":"a"}') == [(3, b'{"event_id":"a"}')]


def test_a_line_too_long_is_refused() -> None:
    """No event can be as large as that."""
    (refusal,) = prepare(b'{"event_id":"' + b"a" * MAX_LINE_BYTES)
    assert isinstance(refusal, Refusal)
    assert "over 1048576 bytes" in refusal.reason


def test_a_made_id_tells_input_line_and_text() -> None:
    """It is the same for the same line of the same input, and another for any other."""
    text, other = b'{"event_name":"n"}', b'{"event_name":"m","event_id":null}'
    made = [
        *prepare(text, text),
        *prepare(other),
        *prepare(text, name="g"),
    ]
    ids = {json.loads(item[1])["event_id"] for item in made}

    assert len(ids) == 4
    assert prepare(text, text) == made[:2]
    # Written down once: another way to make them would count every file loaded before twice.
    assert json.loads(made[0][1])["event_id"] == "4b111de3-3f65-50e4-9f7f-1928a26533c6"


def test_constants_are_put_in() -> None:
    """A constant takes the place of what the line says, and does not change a made ID."""
    line = b'{"event_name":"n","source":"x"}'
    ((_, before),) = prepare(line)  # type: ignore[misc]
    ((_, after),) = prepare(line, source='"y"')  # type: ignore[misc]

    assert json.loads(after) == {**json.loads(before), "source": '"y"'}
