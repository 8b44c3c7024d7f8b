"""What the log lines of every process look like, and how many of them a library may write."""

from __future__ import annotations

import logging
from typing import Final

_SAY_AGAIN_S: Final = 10.0
_MOST_MESSAGES: Final = 1_000


def log_to_stderr(name: str) -> None:
    """Log to standard error, each line with the time and the process's name."""
    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s {name} %(levelname)s %(message)s", force=True
    )
    # It logs a traceback for each request that finds no server; ours say it in a line.
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_FewLines("aiokafka"))


class _FewLines(logging.Filter):
    """Lets each of a library's messages through once in a while, whatever its arguments are.

    Without Kafka, aiokafka logs three hundred lines a second.
    """

    def __init__(self, library: str) -> None:
        super().__init__()
        self._library = library
        self._last_at: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] != self._library:
            return True
        last_at = self._last_at.get(record.msg, -_SAY_AGAIN_S)
        if record.created - last_at < _SAY_AGAIN_S:
            return False
        if len(self._last_at) >= _MOST_MESSAGES:  # some have their arguments in the text
            self._last_at.clear()
        self._last_at[record.msg] = record.created
        return True
