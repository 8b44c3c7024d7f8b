"""Log lines: what a machine reads, what a person reads."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

TALK = """
import logging, sys
from schemas.logs import log_to_stderr
from schemas.request_id import current_request_id
from schemas.settings import Variables
log_to_stderr("part", Variables({"TALLY_LOG_FORMAT": sys.argv[1]}))
log = logging.getLogger("some.place")
log.info("begun")
current_request_id.set("r-1")
log.warning("refused: %s", "a\\nb \\ud800", extra={"status": 400, "code": "validation_error"})
try:
    raise ValueError("no")
except ValueError:
    log.exception("failed")
"""


def lines(log_format: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", TALK, log_format], capture_output=True, text=True, check=True
    )
    return done.stderr.splitlines()


def test_each_line_is_a_json_object() -> None:
    """Time, level, service, text, the request's ID, and what a line was given besides; whatever
    is in the text, and a traceback too, stays on one line.
    """
    begun, refused, failed = (json.loads(line) for line in lines("json"))
    assert set(begun) == {"time", "level", "service", "logger", "message"}
    assert begun["time"].endswith("+00:00")
    assert (refused["service"], refused["logger"], refused["level"]) == (
        "part",
        "some.place",
        "warning",
    )
    assert (refused["request_id"], refused["status"], refused["code"]) == (
        "r-1",
        400,
        "validation_error",
    )
    assert refused["message"].startswith("refused: a\nb ")
    assert "ValueError: no" in failed["exception"]


def test_text_is_for_people() -> None:
    """The same, in words."""
    begun, refused, *_ = lines("text")
    assert begun.endswith("part INFO begun")
    assert refused.endswith("WARNING refused: a")


@pytest.mark.unit
def test_a_wrong_format_is_named() -> None:
    """It is a setting like any other."""
    from schemas.logs import log_to_stderr
    from schemas.settings import Variables

    variables = Variables({"TALLY_LOG_FORMAT": "xml"})
    log_to_stderr("part", variables)
    with pytest.raises(ValueError, match="TALLY_LOG_FORMAT='xml' must be one of json, text"):
        variables.check()
