"""What a process of the stack logs."""

from __future__ import annotations

import subprocess
import sys

TALK = """
import logging
from schemas.logs import log_to_stderr
from schemas.settings import Variables
log_to_stderr("part", Variables({"TALLY_LOG_FORMAT": "text"}))
for name in ("aiokafka", "aiokafka.consumer", "consumer.runner"):
    for number in range(50):
        logging.getLogger(name).error("%s failed: %d", name, number)
logging.getLogger("aiokafka").error("another")
"""


def test_aiokafka_says_each_thing_once_in_a_while() -> None:
    """Hundreds of lines a second of a library are one; our own all come."""
    done = subprocess.run([sys.executable, "-c", TALK], capture_output=True, text=True, check=True)
    lines = [line.split(" part ERROR ")[1] for line in done.stderr.splitlines()]
    ours = [f"consumer.runner failed: {number}" for number in range(50)]
    assert lines == ["aiokafka failed: 0", *ours, "another"]
