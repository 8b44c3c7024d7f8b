"""Dead letters for the tests of the command line, and how it is called."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from schemas.dead_letters import DeadLetter
from schemas.record import FORMAT, FORMAT_HEADER, LogRecord
from tests.support.stack import TALLY

HEADERS = {FORMAT_HEADER: FORMAT}


def letter(
    offset: int,
    *,
    topic: str = "tally.events",
    tenant: str = "acme",
    reason: str = "because",
    appended: str = "2026-03-01T12:00:00Z",
    value: bytes = b'{"n": 1}',
) -> DeadLetter:
    """One from partition 2 of a topic."""
    append_ms = int(datetime.fromisoformat(appended).timestamp() * 1000)
    key = f"{tenant}\0event {offset}".encode()
    record = LogRecord(2, offset, append_ms, key, value, HEADERS)
    return DeadLetter(topic, record, (append_ms << 20) + offset, reason, 1)


class Command:
    """`tally dead-letters` in an environment."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TALLY_")},
            **env,
        }

    def __call__(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run it with these arguments."""
        return subprocess.run(
            [TALLY, "dead-letters", *arguments],
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        """What `list --json` gives."""
        done = self("list", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def origins(self, *arguments: str) -> list[str]:
        """The origins that `list` gives, sorted."""
        return sorted(one["origin"] for one in self.listed(*arguments))
