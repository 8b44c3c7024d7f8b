"""Answers: bytes of JSON, and every refusal and failure in the shape of its path's dialect, under
the request's ID, with a line in the log that says why.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from query_api.errors import QueryTooCostly, StoreUnavailable
from schemas.dialects import dialect_of
from schemas.errors import ApiError, unavailable
from schemas.keys import current_caller
from schemas.refusal_log import log_refusal
from schemas.request_id import REQUEST_ID, current_request_id, request_id_of

_log = logging.getLogger(__name__)

_CONTINUE: Final = "100-continue"

_RETRY_AFTER_S: Final = 2

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def json_response(
    status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with JSON bytes, as exactly ``application/json``."""
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def answering(handler: Handler) -> Handler:
    """Wrap a handler so that every refusal and failure is answered in the dialect's shape."""

    async def answer(request: web.Request) -> web.StreamResponse:
        request_id = request_id_of(request.headers)
        current_request_id.set(request_id)
        current_caller.set(None)
        try:
            _check_expectation(request)
            response = await handler(request)
        except Exception as error:
            if _is_nobody_there(request, error):
                return web.Response(status=400)
            refusal = _refusal(error)
            response = _refused(request, refusal, error if refusal.status == 500 else None)
        response.headers.setdefault(REQUEST_ID, request_id)
        return response

    return answer


@web.middleware
async def refuse_in_our_shape(request: web.Request, handler: Handler) -> web.StreamResponse:
    """For an application of its own: paths and methods that we don't have, in the same shape."""
    return await answering(handler)(request)


def ask_for_body(request: web.Request) -> None:
    """Tell a sender that waits for the word to send its body, once. Call it before reading."""
    connection: Any = request.protocol  # one of ours, or without expectations
    if getattr(connection, "expects", None) is not None and request.transport is not None:
        connection.expects = None
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _check_expectation(request: web.Request) -> None:
    """Raise ApiError, a 417, for an expectation that is none of HTTP's."""
    expects = getattr(request.protocol, "expects", None)
    if expects is not None and expects.lower() != _CONTINUE:
        raise ApiError(
            417, "http_client_error", f"Expect: {expects[:64]!r} can't be met, only {_CONTINUE}"
        )


def _is_nobody_there(request: web.Request, error: Exception) -> bool:
    """Whether the client went away: then nobody reads an answer, and nothing failed on our side.

    A lost connection is an OSError of any kind: reset, unreachable, timed out (which is the
    TimeoutError that reading a body gives, too, hence a 408).
    """
    is_of_a_connection = isinstance(error, OSError) or (
        isinstance(error, ApiError) and error.status == 408
    )
    transport = request.transport
    return is_of_a_connection and (transport is None or transport.is_closing())


def _refused(
    request: web.Request, refusal: ApiError, cause: Exception | None = None
) -> web.Response:
    dialect = dialect_of(request.path)
    headers = dict(refusal.headers)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = dialect.challenge
    resource = request.match_info.route.resource
    log_refusal(
        _log,
        refusal,
        method=request.method,
        route=None if resource is None else resource.canonical,
        cause=cause,
    )
    response = web.Response(
        status=refusal.status,
        body=dialect.error_body(refusal),
        content_type=dialect.content_type,
        headers=headers,
    )
    if "Connection" in headers:
        response.force_close()  # the header alone would not make aiohttp close it
    return response


def _refusal(error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, web.HTTPException):
        return _of_aiohttp(error)
    if isinstance(error, StoreUnavailable):
        return unavailable(f"events can't be read just now: {error}", retry_after_s=_RETRY_AFTER_S)
    if isinstance(error, QueryTooCostly):
        return ApiError(
            422,
            "invalid_operation",
            f"the query was stopped: {error}; narrow start_time and end_time, filter by "
            "external_customer_id, leave out count_total, or page by cursor instead of offset",
        )
    return ApiError(500, "internal_error", "something went wrong on our side")


def _of_aiohttp(error: web.HTTPException) -> ApiError:
    code = "not_found" if error.status == 404 else "http_client_error"
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    return ApiError(error.status, code, error.reason, headers=headers)
