"""The ID of a request: the client's own, or one made here; in the answer, the logs, the records."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from itertools import count
from typing import Final

REQUEST_ID: Final = "X-Request-ID"
MAX_REQUEST_ID_CHARS: Final = 128

# Of the request that is being answered; "" outside of one. Log lines carry it.
current_request_id: ContextVar[str] = ContextVar("current_request_id", default="")

_GOOD = re.compile(rf"[ -~]{{1,{MAX_REQUEST_ID_CHARS}}}")
_prefix: Final = secrets.token_hex(6)
_made = count(1)


def request_id_of(headers: Mapping[str, str]) -> str:
    """Give the ID that the client chose, if it is 1 to 128 printable ASCII characters, or make one:
    random for the process, then counted.
    """
    given = headers.get(REQUEST_ID)
    if given is not None and _GOOD.fullmatch(given):
        return given
    return f"{_prefix}-{next(_made):x}"
