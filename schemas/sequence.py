"""The HTTP bodies of Sequence's dialect: what is read, what is answered, how errors look.

Source: Sequence's published description of ``/api/usage-events``, version 2024-07-30; it tells
nothing about the body of an error, so that is ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from schemas.errors import ApiError, Code, Details, validation_error
from schemas.event import EventId, Name, Properties, Timestamp

PATH: Final = "/api/usage-events"
VERSION_HEADER: Final = "Sequence-Version"
VERSIONS: Final = ("2024-07-30",)

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100
# Far beyond what anyone pages to by offset; a cursor goes on for ever.
MAX_OFFSET: Final = 10**9


class CreateUsageEvent(
    msgspec.Struct, gc=False, forbid_unknown_fields=True, rename="camel", kw_only=True
):
    """The body of ``POST``. ``event_properties`` stays the bytes that were sent.

    As in the other dialects, a field that we don't know is refused and not dropped.
    """

    customer_event_id: EventId | None = None
    customer_alias: Name
    event_type: Name
    event_timestamp: Timestamp | None = None
    # A factory only since no schema can be made of a Raw that is a default.
    event_properties: Properties = msgspec.field(default_factory=msgspec.Raw)


class UsageEvent(msgspec.Struct, gc=False, rename="camel"):
    """An event as it is answered, to ``POST`` and in a list: every key is always there.

    ``id`` is a UUIDv7, new at each send; ``sequence_account_id`` is the tenant.
    """

    id: Annotated[str, msgspec.Meta(extra_json_schema={"format": "uuid"})]
    customer_event_id: str
    customer_alias: str
    event_type: str
    sequence_account_id: str
    event_timestamp: Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
    event_properties: Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})]


class Pagination(msgspec.Struct, rename="camel"):
    """``after`` and ``before`` are cursors, null where no page is that way."""

    after: str | None
    before: str | None
    total_result_size: int


class UsageEventsPage(msgspec.Struct):
    """The answer to a list."""

    items: list[UsageEvent]
    pagination: Pagination


def check_versions(asked: Iterable[str]) -> None:
    """Take the values of a request's `VERSION_HEADER`, if any. Raises ApiError, a 400, if one is a
    version of the dialect that we don't speak.
    """
    for version in asked:
        if version not in VERSIONS:
            raise validation_error(
                f"{VERSION_HEADER}: {version[:64]!r} is not spoken here; leave it out or send "
                f"{' or '.join(VERSIONS)}",
                field=VERSION_HEADER,
            )


def shown_time(timestamp: str) -> str:
    """Give a time in the log's form as the dialect shows it: a fraction only where there is one."""
    return timestamp.replace(".000000Z", "Z")


class SequenceError(msgspec.Struct, rename="camel"):
    """A refusal. ``details`` is there only where there is more to say."""

    code: Code
    message: str
    status_code: int
    details: Details | msgspec.UnsetType = msgspec.UNSET


def error_body(error: ApiError) -> bytes:
    """Write a refusal."""
    details = msgspec.UNSET if error.details is None else dict(error.details)
    return msgspec.json.encode(SequenceError(error.code, str(error), error.status, details))
