"""What the log says of refusals: why, nothing of what was sent, and not without end."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from schemas.refusal_log import FewRefusals, LineBudget, without_values

MARK = "MARK"

# Each as a message is made, of a value that tries to get past.
VALUES = [
    MARK,
    f"'{MARK}",
    f'"{MARK}',
    f"'\"{MARK}\\",
    f"\\'{MARK}",
    f"a'b {MARK} c'd",
    f"`{MARK}`",
]


@pytest.mark.unit
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("message", ["{0!r} is no time", "can't be: {0!r}, it isn't", "x: {1!r}"])
def test_quoted_values_are_left_out(message: str, value: str) -> None:
    """Whatever quotes are in a value, as text or as bytes, beside apostrophes of our own."""
    text = without_values(message.format(value, value.encode()))
    assert MARK not in text
    assert "…" in text


@pytest.mark.unit
@pytest.mark.parametrize(
    "value", ["\\'" * 500_000, "'" * 1_000_000, "`" * 1_000_000, "é" * 1_000_000]
)
def test_a_message_is_cut(value: str) -> None:
    """However long, and however hard to read its quotes are; what a cut leaves open is hidden."""
    assert len(without_values(f"{value}: is no field")) <= 500
    assert MARK not in without_values(f"{'x' * 480}: '{MARK * 100}'")
    assert MARK not in without_values(f"x: '{MARK}" + "\\")  # cut in an escape


@pytest.mark.unit
def test_our_own_words_stay() -> None:
    """Apostrophes, types and places are what tells an operator what is wrong."""
    for text in (
        "the tenant's key can't be read, it isn't there",
        "properties: Expected `object | null`, got `int`",
        "events[3].event_name: is required",
        "the body is not JSON: unexpected character: line 1 column 2 (char 1)",
    ):
        assert without_values(text) == text
    assert without_values("Object contains unknown field `MARK`") == (
        "Object contains unknown field …"
    )


@pytest.mark.unit
def test_a_budget_is_a_burst_and_then_so_many_a_second() -> None:
    """For each sender alone; the next line knows how many were left out."""
    now = [0.0]
    budget = LineBudget(burst=2, per_s=1.0, now=lambda: now[0])
    assert [budget.take("a") for _ in range(4)] == [0, 0, None, None]
    assert budget.take("b") == 0
    now[0] = 1.0
    assert [budget.take("a"), budget.take("a")] == [2, None]
    now[0] = 100.0
    assert [budget.take("a") for _ in range(3)] == [1, 0, None]


@pytest.mark.unit
def test_only_refusals_are_counted() -> None:
    """A line of anything else passes, however many came before."""
    few = FewRefusals(LineBudget(burst=0))
    assert few.filter(logging.makeLogRecord({"msg": "ready"}))
    assert not few.filter(logging.makeLogRecord({"msg": "refused", "status": 400}))


TALK = """
import logging
from schemas.errors import ApiError
from schemas.logs import log_to_stderr
from schemas.refusal_log import log_refusal
from schemas.settings import Variables
log_to_stderr("part", Variables({}))
log = logging.getLogger("some.place")
for number in range(1000):
    refusal = ApiError(400, "validation_error", f"page_size: not {'MARK'!r}")
    log_refusal(log, refusal, method="MARK", route="/v1/events/{id}")
try:
    raise ZeroDivisionError("no")
except ZeroDivisionError as error:
    from schemas.keys import current_caller, make_key
    current_caller.set(make_key("acme", "").record)
    refusal = ApiError(500, "internal_error", "something went wrong")
    log_refusal(log, refusal, method="GET", route=None, cause=error)
"""


def test_a_flood_is_cut_and_a_failure_is_one_line() -> None:
    """Of a thousand refusals of strangers about a hundred are told; a known key's failure is told
    all the same, with its traceback and the key's ID in the one line.
    """
    done = subprocess.run([sys.executable, "-c", TALK], capture_output=True, text=True, check=True)
    *refused, failed = (json.loads(line) for line in done.stderr.splitlines())
    assert 100 <= len(refused) <= 150
    assert "MARK" not in done.stderr
    first = refused[0]
    assert {name: first[name] for name in ("level", "method", "route", "status", "code")} == {
        "level": "info",
        "method": "other",
        "route": "/v1/events/{id}",
        "status": 400,
        "code": "validation_error",
    }
    assert first["message"] == "refused: page_size: not …"
    assert (failed["level"], failed["status"], failed["tenant"]) == ("error", 500, "acme")
    assert failed["key_id"].startswith("key_")
    assert "ZeroDivisionError: no" in failed["exception"]
