"""Refusals, before any dialect gives them its shape: status, code, a text, and details."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import orjson

_MAX_READ_AGAIN_BYTES: Final = 256 * 1024


class Refusal(NamedTuple):
    """What every refusal of a status has in common: its code, and what it means to a sender."""

    code: str
    meaning: str


# Every status that a call is refused with; the OpenAPI documents are made of it.
REFUSALS: Final[Mapping[int, Refusal]] = {
    400: Refusal(
        "validation_error", "Something in the request is wrong; the text and `details` say what."
    ),
    401: Refusal("permission_denied", "No API key, or one that is unknown, revoked or expired."),
    403: Refusal(
        "permission_denied", "A good key without the scope, or for another environment's tenant."
    ),
    404: Refusal("not_found", "There is no such thing."),
    405: Refusal("http_client_error", "Another method; `Allow` lists those that there are."),
    408: Refusal("http_client_error", "The body did not come in time."),
    413: Refusal("http_client_error", "The body is too large."),
    415: Refusal("http_client_error", "A Content-Type or Content-Encoding that is not read here."),
    417: Refusal("http_client_error", "`Expect` says something else than `100-continue`."),
    422: Refusal("invalid_operation", "The query would cost more than one query may."),
    429: Refusal("too_many_requests", "Over the key's limits; send again after `Retry-After`."),
    500: Refusal("internal_error", "A fault on our side; quote the `X-Request-ID`."),
    503: Refusal("service_unavailable", "Not now; ask again after `Retry-After` seconds."),
}
CODES: Final = tuple(sorted({refusal.code for refusal in REFUSALS.values()}))

Code = Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(CODES)})]
Details = Annotated[
    dict[str, Any],
    msgspec.Meta(
        description="More for a program, where there is more: `field` at fault, `errors` of a "
        "bulk's events, `outcome` (`not_stored` or `unknown`) and made `event_ids` of a 503, of an "
        "upload with the lines or indexes they were `made_for`."
    ),
]


class ApiError(Exception):
    """A refusal that the caller should hear: a handler raises it, the application answers it.

    ``code`` is one of FlexPrice's published error codes, the one that `REFUSALS` gives the status;
    ``details`` is a JSON object that says more to a program (the field or parameter at fault, the
    bad indexes of a bulk).
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details
        self.headers = headers or {}


def validation_error(
    message: str, *, field: str | None = None, details: Mapping[str, Any] | None = None
) -> ApiError:
    """A 400 whose message and details name what the sender should change."""
    if field is not None:
        details = {"field": field, **(details or {})}
    return ApiError(400, "validation_error", message, details=details)


def unauthenticated(message: str) -> ApiError:
    """A 401; its dialect says how to authenticate."""
    return ApiError(401, "permission_denied", message)


def forbidden(message: str) -> ApiError:
    """A 403: a good key, for something else."""
    return ApiError(403, "permission_denied", message)


def not_found(message: str) -> ApiError:
    """A 404."""
    return ApiError(404, "not_found", message)


def too_large(message: str) -> ApiError:
    """A 413."""
    return ApiError(413, "http_client_error", message)


def too_many(
    message: str, *, retry_after_s: int, details: Mapping[str, Any] | None = None
) -> ApiError:
    """A 429 that says when to come again."""
    headers = {"Retry-After": str(retry_after_s)}
    return ApiError(429, "too_many_requests", message, details=details, headers=headers)


def unavailable(
    message: str, *, retry_after_s: int, details: Mapping[str, Any] | None = None
) -> ApiError:
    """A 503 that says when to come again."""
    headers = {"Retry-After": str(retry_after_s)}
    return ApiError(503, "service_unavailable", message, details=details, headers=headers)


def why_malformed(body: bytes, otherwise: str) -> str:
    """Say what makes a body no JSON: orjson's words name the place, and lone surrogates.

    ``otherwise`` is what the decoder said that refused it, for a body that orjson can read, and
    for a large one: orjson makes many times its size of it before it comes to what is wrong.
    """
    if len(body) > _MAX_READ_AGAIN_BYTES:
        return f"the body is not JSON: {otherwise.removeprefix('JSON is malformed: ')}"
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return f"the body is not JSON: {error}"
    return f"the body can't be read: {otherwise}"
