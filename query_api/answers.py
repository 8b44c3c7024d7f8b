"""Answers: JSON bytes, and every refusal and failure in FlexPrice's shape."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from query_api.errors import QueryTooCostly, StoreUnavailable
from schemas.http import ApiError, unavailable

_log = logging.getLogger(__name__)

_RETRY_AFTER_S: Final = 2
_REQUEST_ID: Final = "X-Request-ID"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def json_response(
    status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with JSON bytes, as exactly ``application/json``."""
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def answering(handler: Handler) -> Handler:
    """Wrap a handler so that every refusal and failure is answered in the dialect's shape, under
    the request ID that the client chose.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            response = await handler(request)
        except ConnectionError:
            return web.Response(status=400)  # the client went away: nobody reads this
        except Exception as error:
            refusal = _refusal(error, request)
            response = json_response(refusal.status, refusal.body(), refusal.headers)
        if request_id := request.headers.get(_REQUEST_ID):
            response.headers.setdefault(_REQUEST_ID, request_id)
        return response

    return answer


@web.middleware
async def refuse_in_our_shape(request: web.Request, handler: Handler) -> web.StreamResponse:
    """For an application of its own: paths and methods that we don't have, in the same shape."""
    return await answering(handler)(request)


def _refusal(error: Exception, request: web.Request) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, web.HTTPException):
        return _of_aiohttp(error)
    if isinstance(error, StoreUnavailable):
        _log.warning("%s %s: %s", request.method, request.path, error)
        return unavailable(f"events can't be read just now: {error}", retry_after_s=_RETRY_AFTER_S)
    if isinstance(error, QueryTooCostly):
        _log.warning("%s %s was stopped: %s", request.method, request.path, error)
        return ApiError(
            422,
            "invalid_operation",
            f"the query was stopped: {error}; narrow start_time and end_time, filter by "
            "external_customer_id, leave out count_total, or page by cursor instead of offset",
        )
    _log.error("%s %s failed", request.method, request.path, exc_info=error)
    return ApiError(500, "internal_error", "something went wrong on our side")


def _of_aiohttp(error: web.HTTPException) -> ApiError:
    code = "not_found" if error.status == 404 else "http_client_error"
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    return ApiError(error.status, code, error.reason, headers=headers)
