"""What is told of an upload at its end: what was accepted, what was refused, and how to go on so
that nothing is lost and nothing counts twice. Pure.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from ingest_gateway.flexprice import BULK_ANSWER
from ingest_gateway.intake import IDEMPOTENCY_KEY
from ingest_gateway.refused import Refused, RefusedEvents
from ingest_gateway.upload import Upload
from schemas.errors import ApiError, validation_error

_TOO_MANY: Final = 429


class Unit(NamedTuple):
    """How a form counts its events: the word, and the number of the first."""

    name: str
    start: int

    def number(self, place: int) -> int:
        """Give the number of the event at a place, which is counted from 0."""
        return place + self.start


LINE: Final = Unit("line", 1)
INDEX: Final = Unit("index", 0)


class Telling:
    """What is to be known of an upload to tell of it.

    With ``is_partial`` the good events are accepted, and ``refused`` is a list; without, the first
    bad one ends the upload. ``has_key`` is whether made IDs go by an Idempotency-Key and an
    event's place in the upload: a part that is sent alone, under the same key, would supersede
    other events.
    """

    def __init__(self, *, is_partial: bool, has_key: bool) -> None:
        self.unit = INDEX
        self.refused = RefusedEvents() if is_partial else RefusedEvents(max_events=0)
        self._is_partial = is_partial
        self._has_key = has_key

    def refusal(self, refused: Refused) -> ApiError:
        """Make the 400 of the event that ends the upload; all before it are accepted or listed."""
        name, number = self.unit.name, self.unit.number(refused.place)
        if self._is_partial:
            return validation_error(
                f"more than {len(self.refused.listed)} events were refused: "
                "is this the right form?",
                details={name: number},
            )
        return validation_error(
            f"{name} {number}: {refused.message}",
            field=refused.field or None,
            details={name: number},
        )

    def ended(self, error: ApiError, upload: Upload, next_place: int) -> ApiError:
        """Give the refusal that ended an upload with what was accepted, and what to do now.

        ``next_place`` is that of the event which comes after those that were read.
        """
        place = next_place if upload.failed_place is None else upload.failed_place
        details = {self.unit.name: self.unit.number(place), **(error.details or {})}
        if "event_ids" in details:
            details["made_for"] = [self.unit.number(made) for made in upload.made_for]
        return ApiError(
            error.status,
            error.code,
            f"{error}; events accepted: {upload.accepted}, {self._advice(error.status, details)}",
            details={**details, **self._counts(upload.accepted)},
            headers=error.headers,
        )

    def answer(self, accepted: int) -> bytes:
        """Give the body of the 202 at an upload's end. Raises ApiError, a 400, if nothing was
        accepted.
        """
        listed = self.refused.listed
        if accepted == len(listed) == 0:
            raise validation_error("the body holds no events", details=self._counts(0))
        if not self._is_partial:
            return BULK_ANSWER
        if not accepted:
            raise validation_error(
                f"none of {len(listed)} events was accepted; the first: {listed[0].message}",
                details=self._counts(0),
            )
        message = "Events accepted for processing"
        if listed and self._has_key:
            message += f"; mend the refused ones and send them under another {IDEMPOTENCY_KEY}"
        return msgspec.json.encode({"message": message, **self._counts(accepted)})

    def _advice(self, status: int, details: dict[str, Any]) -> str:
        at = f"{self.unit.name} {details[self.unit.name]}"
        if self._has_key and status == _TOO_MANY:  # from its start it would never get further
            return f"go on from {at} under another {IDEMPOTENCY_KEY}"
        if self._has_key:
            mended = "mend it and " if status == 400 else ""
            in_place = ", every event at its place," if self._is_partial else ""
            return f"{mended}send the whole upload again{in_place} under the same {IDEMPOTENCY_KEY}"
        if details.get("outcome") != "unknown":
            return f"go on from {at}"
        if "event_ids" not in details:
            return f"send them again from {at} on, under the same event IDs"
        return (
            f"send them again from {at} on, each {self.unit.name} in details.made_for under its "
            "ID in details.event_ids"
        )

    def _counts(self, accepted: int) -> dict[str, Any]:
        counts: dict[str, Any] = {"accepted": accepted}
        if self._is_partial:
            counts["refused"] = len(self.refused.listed)
            counts["errors"] = [
                {
                    self.unit.name: self.unit.number(place),
                    "code": "validation_error",
                    "field": field,
                    "message": message,
                }
                for place, field, message in self.refused.listed
            ]
        return counts
