"""What the log lines of every process look like, and how many of them a library may write."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from schemas.refusal_log import FewRefusals, NoHttp, failure_text
from schemas.request_id import current_request_id
from schemas.settings import Variables

JSON: Final = "json"
TEXT: Final = "text"
FORMATS: Final = (JSON, TEXT)

_SAY_AGAIN_S: Final = 10.0
_MOST_MESSAGES: Final = 1_000


def log_to_stderr(name: str, variables: Variables, *, default: str = JSON) -> None:
    """Log to standard error, a line each: a JSON object or text, as TALLY_LOG_FORMAT says.

    Either has the time, the level, the process's name and the request's ID; the object also has
    what a line was given as ``extra``. A wrong setting is noted in ``variables``.
    """
    log_format = variables.text("TALLY_LOG_FORMAT", default, choices=FORMATS)
    handler = logging.StreamHandler()
    handler.setFormatter(_Json(name) if log_format == JSON else _Text(name))
    for few in (_FewLines("aiokafka"), NoHttp(), FewRefusals()):
        handler.addFilter(few)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # It logs a traceback for each request that finds no server; ours say it in a line.
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    # It tells of some bytes that are no HTTP on this level only; `NoHttp` makes a line of them.
    logging.getLogger("aiohttp.server").setLevel(logging.DEBUG)


_NOT_EXTRA: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Formatter(logging.Formatter):
    """Tells a request's failure without what the request held; all others in full."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 (logging's name)
        if current_request_id.get() and ei[1] is not None:
            return failure_text(ei[1])
        return super().formatException(ei)


class _Json(_Formatter):
    """A JSON object a line, whatever is in the text."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := current_request_id.get():
            line["request_id"] = request_id
        line |= {name: value for name, value in vars(record).items() if name not in _NOT_EXTRA}
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _Text(_Formatter):
    """For a person at a terminal."""

    def __init__(self, service: str) -> None:
        super().__init__(f"%(asctime)s {service} %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        request_id = current_request_id.get()
        return f"{text} ({request_id})" if request_id else text


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
