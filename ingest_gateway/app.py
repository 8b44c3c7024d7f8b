"""The gateway's routes: authenticate, read, check, append, answer 202."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from ingest_gateway import flexprice
from ingest_gateway.admission import Admission
from ingest_gateway.body import admitted_body
from ingest_gateway.errors import NotStored, OutcomeUnknown, TooLarge
from ingest_gateway.flexprice import Accepted
from ingest_gateway.log import EventLog
from ingest_gateway.settings import Settings
from schemas.http import ApiError, too_large, unavailable
from schemas.keys import INGEST, KeyRing
from schemas.record import (
    CONTENT_TYPE_HEADER,
    DIALECT_HEADER,
    FORMAT,
    FORMAT_HEADER,
    REQUEST_ID_HEADER,
    TRACE_HEADER,
    encode,
)

_log = logging.getLogger(__name__)

_RECORD_HEADERS = {
    FORMAT_HEADER: FORMAT,
    DIALECT_HEADER: flexprice.DIALECT,
    CONTENT_TYPE_HEADER: b"application/json",
}
_PASSED_ON = (REQUEST_ID_HEADER, TRACE_HEADER)
_PASSED_ON_CHARS = 128  # a request ID is a name, not a place to keep things

ReadBody = Callable[[bytes, str, datetime, Settings], Accepted]


class Gateway:
    """What the routes share. Give it a log that is open and a ring that a feed fills."""

    def __init__(self, log: EventLog, keys: KeyRing, settings: Settings) -> None:
        self._log = log
        self._keys = keys
        self._settings = settings
        self._admission = Admission(settings.max_bytes_in_flight)

    def routes(self) -> list[web.RouteDef]:
        """Every route of the gateway, for an application of its own or for a shared one."""
        return [
            web.post("/v1/events", answering(self._single)),
            web.post("/v1/events/bulk", answering(self._bulk)),
            web.get("/ingest/livez", _live),
            web.get("/ingest/readyz", self.ready),
        ]

    def trouble(self) -> str | None:
        """Say why the gateway can't take events just now, or None."""
        if not self._keys.is_complete:
            return "the API keys are not read yet"
        return self._log.trouble()

    async def _single(self, request: web.Request) -> web.Response:
        accepted = await self._accept(request, flexprice.read_event)
        return json_response(202, flexprice.single_answer(accepted.events[0].event_id))

    async def _bulk(self, request: web.Request) -> web.Response:
        await self._accept(request, flexprice.read_bulk)
        return json_response(202, flexprice.BULK_ANSWER)

    async def _accept(self, request: web.Request, read: ReadBody) -> Accepted:
        """Take a request's events: they are in the log when it returns. Raises ApiError."""
        tenant = self._keys.tenant_of(request.headers, INGEST)
        timeout_s = self._settings.body_timeout_s
        async with admitted_body(request, self._admission, timeout_s=timeout_s) as body:
            accepted = read(body, tenant, datetime.now(UTC), self._settings)
            headers = _record_headers(request.headers)
            records = [encode(event, headers) for event in accepted.events]
            try:
                await self._log.append(records, timeout_s=self._settings.append_timeout_s)
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
            return accepted

    async def ready(self, _request: web.Request) -> web.Response:
        """Answer whether events are accepted just now, and if not, why."""
        trouble = self.trouble()
        body = msgspec.json.encode({"log": trouble or "ok"})
        return json_response(503 if trouble else 200, body)


def application(gateway: Gateway) -> web.Application:
    """Make an application of the gateway alone, which answers 404 and 405 in our shape too."""

    @web.middleware
    async def refuse_in_our_shape(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            code = "not_found" if error.status == 404 else "http_client_error"
            headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
            refusal = ApiError(error.status, code, error.reason, headers=headers)
            return json_response(refusal.status, refusal.body(), refusal.headers)

    app = web.Application(middlewares=[refuse_in_our_shape])
    app.add_routes(gateway.routes())
    app.add_routes([web.get("/livez", _live), web.get("/readyz", gateway.ready)])
    return app


def _record_headers(headers: Mapping[str, str]) -> Mapping[str, bytes]:
    """Give the headers of a request's records: what they are, and whence they came."""
    passed_on = {
        name: headers[name].encode(errors="replace")
        for name in _PASSED_ON
        if len(headers.get(name, "")) in range(1, _PASSED_ON_CHARS)
    }
    return {**_RECORD_HEADERS, **passed_on} if passed_on else _RECORD_HEADERS


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answering(handler: Handler) -> Handler:
    """Wrap a handler so that every refusal and failure is answered in the dialect's shape."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as refusal:
            return json_response(refusal.status, refusal.body(), refusal.headers)
        except ConnectionError:
            return web.Response(status=400)  # the client went away: nobody reads this
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            failure = ApiError(500, "internal_error", "something went wrong on our side")
            return json_response(failure.status, failure.body())

    return answer


def json_response(
    status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with JSON bytes, as exactly ``application/json``."""
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


async def _live(_request: web.Request) -> web.Response:
    return json_response(200, b'{"status":"ok"}')
