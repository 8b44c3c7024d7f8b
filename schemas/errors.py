"""Refusals, before any dialect gives them its shape: status, code, a text, and details."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson


class ApiError(Exception):
    """A refusal that the caller should hear: a handler raises it, the application answers it.

    ``code`` is one of FlexPrice's published error codes, ``details`` a JSON object that says more
    to a program (the field or parameter at fault, the bad indexes of a bulk).
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


def too_many(message: str, *, retry_after_s: int) -> ApiError:
    """A 429 that says when to come again."""
    headers = {"Retry-After": str(retry_after_s)}
    return ApiError(429, "too_many_requests", message, headers=headers)


def unavailable(
    message: str, *, retry_after_s: int, details: Mapping[str, Any] | None = None
) -> ApiError:
    """A 503 that says when to come again."""
    headers = {"Retry-After": str(retry_after_s)}
    return ApiError(503, "service_unavailable", message, details=details, headers=headers)


def why_malformed(body: bytes, otherwise: str) -> str:
    """Say what makes a body no JSON: orjson's words name the place, and lone surrogates.

    ``otherwise`` is what the decoder said that refused it, for a body that orjson can read.
    """
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return f"the body is not JSON: {error}"
    return f"the body can't be read: {otherwise}"
