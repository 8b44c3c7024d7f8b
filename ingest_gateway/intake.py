"""The way of a request into the log, the same in every dialect: who sends, what, and what becomes
of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from ingest_gateway.admission import Admission
from ingest_gateway.body import admitted_body
from ingest_gateway.errors import NotStored, OutcomeUnknown, TooLarge
from ingest_gateway.events import Accepted, Sender
from ingest_gateway.log import EventLog
from ingest_gateway.settings import Settings
from schemas.dialects import Dialect
from schemas.errors import too_large, unavailable, validation_error
from schemas.keys import INGEST, KeyRecord, KeyRing
from schemas.record import (
    CONTENT_TYPE_HEADER,
    DIALECT_HEADER,
    FORMAT,
    FORMAT_HEADER,
    REQUEST_ID_HEADER,
    TRACE_HEADER,
    encode,
)
from schemas.request_id import current_request_id

_log = logging.getLogger(__name__)

IDEMPOTENCY_KEY: Final = "Idempotency-Key"
_MAX_IDEMPOTENCY_KEY_CHARS: Final = 255
_MAX_TRACE_CHARS: Final = 128  # it is a name, not a place to keep things

ReadBody = Callable[[bytes, Sender], Accepted]


class Intake:
    """What the routes of all dialects share."""

    def __init__(self, log: EventLog, keys: KeyRing, settings: Settings) -> None:
        self._log = log
        self._keys = keys
        self.settings = settings
        self.admission = Admission(settings.max_bytes_in_flight)

    def caller(self, request: web.Request) -> KeyRecord:
        """Give the key that sends. Raises ApiError for one that may not, or not now."""
        return self._keys.caller_of(request.headers, INGEST)

    def sender(self, request: web.Request, caller: KeyRecord) -> Sender:
        """Give what is to be known of a request to read its body. Raises ApiError, a 400."""
        key = request.headers.get(IDEMPOTENCY_KEY)
        if key is not None and not 1 <= len(key) <= _MAX_IDEMPOTENCY_KEY_CHARS:
            raise validation_error(
                f"{IDEMPOTENCY_KEY}: must be 1 to {_MAX_IDEMPOTENCY_KEY_CHARS} characters long",
                field=IDEMPOTENCY_KEY,
            )
        return Sender(caller.tenant, datetime.now(UTC), self.settings, key)

    async def accept(self, request: web.Request, read: ReadBody, dialect: Dialect) -> Accepted:
        """Take a request's events: they are in the log when it returns. Raises ApiError."""
        caller = self.caller(request)
        sender = self.sender(request, caller)
        timeout_s = self.settings.body_timeout_s
        room = self.admission.room(caller.key_id)
        async with admitted_body(request, room, timeout_s=timeout_s) as body:
            accepted = read(body, sender)
            await self.append(accepted, record_headers(request, dialect))
            return accepted

    async def append(self, accepted: Accepted, headers: Mapping[str, bytes]) -> None:
        """Append events: they are in the log when it returns. Raises ApiError, which tells what
        became of them.
        """
        records = [encode(event, headers) for event in accepted.events]
        try:
            await self._log.append(records, timeout_s=self.settings.append_timeout_s)
        except TooLarge as error:
            _log.error("refused %d events: %s", len(records), error)
            raise too_large(f"the events were not stored: {error}") from None
        except NotStored as error:
            _log.warning("refused %d events: %s", len(records), error)
            raise unavailable(
                f"the events were not stored: {error}; send them again",
                retry_after_s=1,
                details={"outcome": "not_stored"},
            ) from None
        except OutcomeUnknown as error:
            _log.warning("the outcome of %d events is unknown: %s", len(records), error)
            details: dict[str, object] = {"outcome": "unknown"}
            if accepted.made_ids:
                details["event_ids"] = accepted.made_ids
            raise unavailable(
                f"the events may or may not be stored: {error}; "
                "send them again under the same event IDs",
                retry_after_s=1,
                details=details,
            ) from None

    def trouble(self) -> str | None:
        """Say why events can't be taken just now, or None."""
        if not self._keys.is_complete:
            return "the API keys are not read yet"
        return self._log.trouble()


def record_headers(request: web.Request, dialect: Dialect) -> Mapping[str, bytes]:
    """Give the headers of a request's records: what they are, and whence they came."""
    headers = {
        FORMAT_HEADER: FORMAT,
        DIALECT_HEADER: dialect.name.encode(),
        CONTENT_TYPE_HEADER: b"application/json",
        REQUEST_ID_HEADER: current_request_id.get().encode(),
    }
    trace = request.headers.get(TRACE_HEADER, "")
    if 1 <= len(trace) <= _MAX_TRACE_CHARS:
        headers[TRACE_HEADER] = trace.encode(errors="replace")
    return headers
