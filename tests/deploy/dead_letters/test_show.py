"""Dead letters in words and as JSON."""

from __future__ import annotations

import base64

import pytest

from deploy.dead_letters.show import append_time, as_summary, as_whole, in_words, visible
from tests.deploy.dead_letters.letters import letter

pytestmark = pytest.mark.unit


def test_a_summary_has_what_one_looks_for() -> None:
    """Where it came from, whose it is, when, how often, why, how large."""
    assert as_summary(letter(7)) == {
        "origin": "tally.events/2/7",
        "tenant": "acme",
        "event_id": "event 7",
        "appended_at": "2026-03-01T12:00:00.000Z",
        "attempts": 1,
        "reason": "because",
        "value_bytes": 8,
    }


@pytest.mark.parametrize(
    ("value", "text"), [(b'{"a":"\xc3\xa9"}', '{"a":"é"}'), (b"\xff{", None), (b"", "")]
)
def test_json_has_the_value_whatever_it_is(value: bytes, text: str | None) -> None:
    """As a text where it is one, and always byte for byte."""
    whole = as_whole(letter(1, value=value))
    assert whole["value"] == text
    assert base64.b64decode(str(whole["value_base64"])) == value
    assert whole["headers"] == {"tally-format": "1"}


def test_words_have_everything() -> None:
    """Headers and value too; a value that is no text is not printed."""
    words = in_words(letter(7, value=b'{"a": 1}'))
    for part in ("tally.events/2/7", "acme", "event 7", "because", "tally-format 1", '{"a": 1}'):
        assert part in words
    assert "--raw" in in_words(letter(7, value=b"\xff"))


def test_nothing_reaches_the_terminal_as_a_command() -> None:
    """Senders write values and IDs, and a reason quotes them."""
    evil = letter(1, tenant="a\x1b[2J", reason="b\x1b]0;c\x07", value=b"d\x1b[31m\r\x9b")
    words = in_words(evil)
    assert "\x1b" not in words
    assert "\\x1b[2J" in words
    assert visible("fine \N{ROCKET} é\n") == "fine \N{ROCKET} é\\n"


def test_a_record_without_an_append_time_says_so() -> None:
    """Its topic was set up wrongly; that is why it is here."""
    unknown = letter(1)._replace(record=letter(1).record._replace(append_ms=-1))
    assert append_time(unknown) is None
    assert "unknown" in in_words(unknown)
