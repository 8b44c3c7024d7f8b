"""The HTTP bodies of FlexPrice's dialect: what is read, what is answered, how errors look.

Source: FlexPrice's published description of ``/v1/events``; where it is silent, README.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson

from schemas.event import EventId, Name, OptionalName

API_KEY_HEADER: Final = "x-api-key"
ENVIRONMENT_HEADER: Final = "X-Environment-ID"

GET_MAX_PAGE_SIZE: Final = 50
QUERY_MAX_PAGE_SIZE: Final = 1000
DEFAULT_PAGE_SIZE: Final = 50


class IngestEvent(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The body of ``POST /v1/events``. ``properties`` stays the bytes that were sent.

    A field that we don't know is refused: a misspelt ``timestamp`` or ``event_id`` that is
    dropped without a word makes a wrong bill.
    """

    event_name: Name
    external_customer_id: Name
    event_id: EventId | None = None
    customer_id: OptionalName | None = None
    source: OptionalName | None = None
    timestamp: str | None = None
    properties: msgspec.Raw = msgspec.Raw()


class BulkIngest(msgspec.Struct):
    """The body of ``POST /v1/events/bulk``."""

    events: list[IngestEvent]


class RawBulkIngest(msgspec.Struct):
    """The same body with its events unread, to find out which of them are bad."""

    events: list[msgspec.Raw]


class EventsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/events/query``; ``GET /v1/events`` takes the same, as text.

    A parameter that we don't know is refused: a filter that is silently not applied makes a
    wrong answer.
    """

    external_customer_id: str | None = None
    event_name: str | None = None
    event_id: str | None = None
    source: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    property_filters: dict[str, list[str]] | None = None
    page_size: int | None = None
    offset: int | None = None
    sort: str | None = None
    order: str | None = None
    count_total: bool | None = None
    iter_first_key: str | None = None
    iter_last_key: str | None = None


class ListedEvent(msgspec.Struct):
    """An event as a list and a look-up answer it: every key is there, null if empty."""

    id: str
    event_name: str
    external_customer_id: str
    customer_id: str | None
    timestamp: str
    properties: msgspec.Raw
    source: str | None
    environment_id: str


class LookedUpEvent(ListedEvent):
    """A look-up in the form of the published client, which looks for the event in ``event``."""

    event: ListedEvent


class EventsPage(msgspec.Struct):
    """The answer to a list. ``has_more`` looks in the direction of travel."""

    events: list[ListedEvent]
    has_more: bool
    iter_first_key: str | None
    iter_last_key: str | None
    total_count: int | None
    offset: int


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

    def body(self) -> bytes:
        """The JSON of the answer: the flat error, and beside it what newer clients read."""
        answer: dict[str, Any] = {
            "code": self.code,
            "message": str(self),
            "http_status_code": self.status,
        }
        if self.details is not None:
            answer["details"] = self.details
        answer["success"] = False
        answer["error"] = {"message": str(self), "internal_error": None}
        return msgspec.json.encode(answer)


def validation_error(
    message: str, *, field: str | None = None, details: Mapping[str, Any] | None = None
) -> ApiError:
    """A 400 whose message and details name what the sender should change."""
    if field is not None:
        details = {"field": field, **(details or {})}
    return ApiError(400, "validation_error", message, details=details)


def unauthenticated(message: str) -> ApiError:
    """A 401."""
    return ApiError(401, "permission_denied", message, headers={"WWW-Authenticate": "Bearer"})


def forbidden(message: str) -> ApiError:
    """A 403: a good key, for something else."""
    return ApiError(403, "permission_denied", message)


def not_found(message: str) -> ApiError:
    """A 404."""
    return ApiError(404, "not_found", message)


def too_large(message: str) -> ApiError:
    """A 413."""
    return ApiError(413, "http_client_error", message)


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
