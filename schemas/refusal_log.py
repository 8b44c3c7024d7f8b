"""What a service logs of a request that it refused: a line that says why, nothing that the request
held, and not without end.
"""

from __future__ import annotations

import logging
import re
import time
import traceback
from collections.abc import Callable
from typing import Final

from schemas.errors import ApiError
from schemas.keys import current_caller

# One sender's mistakes, thousands a second, must fill no disk and hide nobody else's.
BURST_LINES: Final = 100
LINES_PER_S: Final = 10.0

_MAX_CAUSES: Final = 5
_METHODS: Final = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
)
_MAX_MESSAGE_CHARS: Final = 500
# What repr() wrote, what msgspec names, and what looks like a key of ours wherever it stands. An
# apostrophe inside a word begins nothing; what begins and never ends, since it was cut, is hidden
# too. Possessive: whatever the text, it is looked at once.
_QUOTED: Final = re.compile(
    r"""(?<!\w)b?(?:'(?:[^'\\]|\\.?)*+(?:'|\Z)|"(?:[^"\\]|\\.?)*+(?:"|\Z))|`[^`]*+(?:`|\Z)"""
    r"|(?:tally|secret)_[A-Za-z0-9_-]{20,}",
    re.DOTALL,
)
_TYPE: Final = "(?:str|int|float|bool|null|object|array|number)"
_TYPES: Final = re.compile(rf"`{_TYPE}(?: \| {_TYPE})*`")


def without_values(message: str) -> str:
    """Give a refusal's message as the log may have it: each value that it quotes is "…" there.

    A message quotes what came in the request as ``repr`` writes it, or it ends up in the log.
    """
    message = message[:_MAX_MESSAGE_CHARS]
    return _QUOTED.sub(lambda found: found[0] if _TYPES.fullmatch(found[0]) else "…", message)


def log_refusal(
    logger: logging.Logger,
    refusal: ApiError,
    *,
    method: str,
    route: str | None,
    cause: BaseException | None = None,
) -> None:
    """Log a refused request. ``route`` is the pattern that it met, never its path; ``cause`` is
    what failed unforeseen, whose traceback is told.
    """
    extra: dict[str, object] = {
        "method": method if method in _METHODS else "other",
        "route": route,
        "status": refusal.status,
        "code": refusal.code,
    }
    caller = current_caller.get()
    if caller is not None:
        extra |= {"tenant": caller.tenant, "key_id": caller.key_id}
    level = logging.INFO if refusal.status < 500 else logging.WARNING
    logger.log(
        level if cause is None else logging.ERROR,
        "refused: %s",
        without_values(str(refusal)),
        extra=extra,
        exc_info=cause,
    )


def failure_text(error: BaseException) -> str:
    """Give the tracebacks of a failure, its causes first, with the messages as `without_values`
    gives them.
    """
    parts: list[str] = []
    following: BaseException | None = error
    while following is not None and len(parts) < _MAX_CAUSES:
        parts.append(
            "Traceback (most recent call last):\n"
            + "".join(traceback.format_tb(following.__traceback__))
            + f"{type(following).__qualname__}: {without_values(str(following))}"
        )
        hidden = None if following.__suppress_context__ else following.__context__
        following = following.__cause__ or hidden
    return "\n\n".join(reversed(parts))


class LineBudget:
    """Counts lines, for each sender alone: a burst, and then so many a second."""

    def __init__(
        self,
        burst: int = BURST_LINES,
        per_s: float = LINES_PER_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst = burst
        self._per_s = per_s
        self._now = now
        self._by_sender: dict[str, tuple[float, float, int]] = {}  # lines left, when, left out

    def take(self, sender: str) -> int | None:
        """Give how many lines were left out since the last one, or None if this one is, too."""
        now = self._now()
        lines, at, left_out = self._by_sender.get(sender, (float(self._burst), now, 0))
        lines = min(self._burst, lines + (now - at) * self._per_s)
        if lines < 1:
            self._by_sender[sender] = (lines, now, left_out + 1)
            return None
        self._by_sender[sender] = (lines - 1, now, 0)
        return left_out


class FewRefusals(logging.Filter):
    """Lets the lines of refusals through as far as each key's budget goes (those without a good
    key share one), and the next line tells how many were left out.
    """

    def __init__(self, budget: LineBudget | None = None) -> None:
        super().__init__()
        self._budget = budget or LineBudget()

    def filter(self, record: logging.LogRecord) -> bool:
        """See the class. Lines of anything else pass."""
        if not hasattr(record, "status"):
            return True
        left_out = self._budget.take(getattr(record, "key_id", ""))
        if left_out is None:
            return False
        if left_out:
            record.left_out = left_out
            record.msg = f"{record.msg} (and {left_out} more, which were not logged)"
        return True


class NoHttp(logging.Filter):
    """Turns what aiohttp logs of bytes that are no HTTP, which is a traceback and what the bytes
    were, into the line of a refusal.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """See the class. Every line passes."""
        if record.name == "aiohttp.server" and record.exc_info and record.exc_info[0] is not None:
            kind = record.exc_info[0]
            if kind.__module__.startswith("aiohttp."):
                record.levelno, record.levelname = logging.INFO, "INFO"
                record.msg, record.args = "refused: it is no HTTP (%s)", (kind.__name__,)
                record.exc_info = record.exc_text = None
                record.status, record.code = 400, "http_client_error"
        return True
