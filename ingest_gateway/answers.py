"""Answers: bytes of JSON, and every refusal and failure in the shape of its path's dialect, under
the request's ID, with a line in the log that says why.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from schemas.dialects import dialect_of
from schemas.errors import ApiError
from schemas.request_id import REQUEST_ID, current_request_id, request_id_of

_log = logging.getLogger(__name__)

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
        try:
            response = await handler(request)
        except ConnectionError:
            return web.Response(status=400)  # the client went away: nobody reads this
        except ApiError as refusal:
            response = _refused(request, refusal)
        except web.HTTPException as error:
            response = _refused(request, _of_aiohttp(error))
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            failure = ApiError(500, "internal_error", "something went wrong on our side")
            response = _refused(request, failure)
        response.headers.setdefault(REQUEST_ID, request_id)
        return response

    return answer


@web.middleware
async def refuse_in_our_shape(request: web.Request, handler: Handler) -> web.StreamResponse:
    """For an application of its own: paths and methods that we don't have, in the same shape."""
    return await answering(handler)(request)


def _refused(request: web.Request, refusal: ApiError) -> web.Response:
    dialect = dialect_of(request.path)
    headers = dict(refusal.headers)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = dialect.challenge
    resource = request.match_info.route.resource
    _log.info(
        "refused: %s",
        refusal,
        extra={
            "method": request.method,
            "route": None if resource is None else resource.canonical,
            "status": refusal.status,
            "code": refusal.code,
        },
    )
    return web.Response(
        status=refusal.status,
        body=dialect.error_body(refusal),
        content_type=dialect.content_type,
        headers=headers,
    )


def _of_aiohttp(error: web.HTTPException) -> ApiError:
    code = "not_found" if error.status == 404 else "http_client_error"
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    return ApiError(error.status, code, error.reason, headers=headers)
