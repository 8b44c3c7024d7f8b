"""The way of a request into the log, the same in every dialect: who sends, what, and what becomes
of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from ingest_gateway.admission import Admission
from ingest_gateway.body import admitted_body
from ingest_gateway.errors import NotStored, OutcomeUnknown, TooLarge
from ingest_gateway.events import Accepted, Sender
from ingest_gateway.log import EventLog
from ingest_gateway.rates import Debt, Rates
from ingest_gateway.refused import BadEvents
from ingest_gateway.settings import Settings
from schemas.dialects import Dialect
from schemas.errors import ApiError, too_large, too_many, unavailable, validation_error
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

IDEMPOTENCY_KEY: Final = "Idempotency-Key"
_MAX_IDEMPOTENCY_KEY_CHARS: Final = 255
_A_KEY: Final = re.compile(rf"[ -~]{{1,{_MAX_IDEMPOTENCY_KEY_CHARS}}}")
_MAX_TRACE_CHARS: Final = 128  # it is a name, not a place to keep things

ReadBody = Callable[[bytes, Sender], Accepted | Awaitable[Accepted]]


class Intake:
    """What the routes of all dialects share."""

    def __init__(self, log: EventLog, keys: KeyRing, settings: Settings) -> None:
        self._log = log
        self._keys = keys
        self.settings = settings
        self.admission = Admission(
            settings.max_bytes_in_flight, settings.max_bytes_in_flight_per_key
        )
        self.rates = Rates(settings.max_events_per_s_per_key, settings.max_bytes_per_s_per_key)

    def caller(self, request: web.Request) -> KeyRecord:
        """Give the key that sends. Raises ApiError for one that may not, or not now: a 429 says
        when. Ask before the body is read, so that a refusal costs less than what it refuses.
        """
        caller = self._keys.caller_of(request.headers, INGEST)
        debt = self.rates.debt(caller)
        if debt is not None:
            raise over_the_rate(
                debt, "; nothing was stored, send it again in {} s", outcome="not_stored"
            )
        return caller

    def still(self, caller: KeyRecord) -> KeyRecord:
        """Give the record of a key that began an upload as it stands now. Raises ApiError, a 401
        or 403, if it would not be let in any more.
        """
        return self._keys.still(caller, INGEST)

    def sender(self, request: web.Request, caller: KeyRecord) -> Sender:
        """Give what is to be known of a request to read its body. Raises ApiError, a 400."""
        keys = request.headers.getall(IDEMPOTENCY_KEY, [None])
        if len(keys) > 1 or (keys[0] is not None and not _A_KEY.fullmatch(keys[0])):
            raise validation_error(
                f"{IDEMPOTENCY_KEY}: must be there once, with 1 to {_MAX_IDEMPOTENCY_KEY_CHARS} "
                "printable ASCII characters",
                field=IDEMPOTENCY_KEY,
            )
        return Sender(caller.tenant, datetime.now(UTC), self.settings, keys[0])

    async def accept(self, request: web.Request, read: ReadBody, dialect: Dialect) -> Accepted:
        """Take a request's events: they are in the log when it returns. Raises ApiError."""
        caller = self.caller(request)
        sender = self.sender(request, caller)
        timeout_s = self.settings.body_timeout_s
        room = self.admission.room(caller.key_id)
        self.rates.charge(caller, 1, 0)  # whatever becomes of it: a bad request costs us as much
        try:
            async with admitted_body(request, room, timeout_s=timeout_s) as body:
                read_now = read(body, sender)
                accepted = read_now if isinstance(read_now, Accepted) else await read_now
                self.rates.charge(caller, len(accepted.events) - 1, 0)
                await self.append(accepted, record_headers(request, dialect))
                return accepted
        except BadEvents as error:
            self.rates.charge(caller, error.looked_at - 1, 0)
            raise
        finally:
            self.rates.charge(caller, 0, room.taken_bytes)

    async def append(
        self, accepted: Accepted, headers: Mapping[str, bytes], *, advise: bool = True
    ) -> None:
        """Append events: they are in the log when it returns. Raises ApiError, which tells what
        became of them and, unless the caller does (``advise``), what the sender is to do.
        """
        records = [encode(event, headers) for event in accepted.events]
        try:
            await self._log.append(records, timeout_s=self.settings.append_timeout_s)
        except TooLarge as error:
            raise too_large(f"the events were not stored: {error}") from None
        except NotStored as error:
            raise unavailable(
                f"the events were not stored: {error}{'; send them again' * advise}",
                retry_after_s=1,
                details={"outcome": "not_stored"},
            ) from None
        except OutcomeUnknown as error:
            details: dict[str, object] = {"outcome": "unknown"}
            if accepted.made_ids:
                details["event_ids"] = accepted.made_ids
            raise unavailable(
                f"the events may or may not be stored: {error}"
                + "; send them again under the same event IDs" * advise,
                retry_after_s=1,
                details=details,
            ) from None

    def trouble(self) -> str | None:
        """Say why events can't be taken just now, or None."""
        if not self._keys.is_complete:
            return "the API keys are not read yet"
        return self._log.trouble()


def over_the_rate(debt: Debt, rest: str, **details: object) -> ApiError:
    """Make the 429 of a key that is in debt; ``rest`` has {} for the seconds to wait."""
    retry_after_s = math.ceil(debt.wait_s)
    return too_many(
        f"this API key sends more than its {debt.limit} of {debt.per_s:g}"
        + rest.format(retry_after_s),
        retry_after_s=retry_after_s,
        details={"limit": debt.limit, "value": debt.per_s, **details},
    )


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
