"""Which dead letters a command means. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.dead_letters import DeadLetter
from schemas.event import parse_timestamp

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Those with one of the origins, or, where there are none, those that pass every filter.

    ``reason`` is a part of a letter's reason, whatever its case; the bounds are on the first
    append, in microseconds since 1970, both inclusive.
    """

    origins: frozenset[str] = frozenset()
    tenant: str | None = None
    reason: str | None = None
    since_us: int | None = None
    until_us: int | None = None

    def matches(self, letter: DeadLetter) -> bool:
        """Whether the letter is meant."""
        if self.origins:
            return letter.origin in self.origins
        append_us = letter.record.append_ms * 1000
        return (
            self.tenant in (None, letter.tenant)
            and (self.reason is None or self.reason.casefold() in letter.reason.casefold())
            and (self.since_us is None or append_us >= self.since_us)
            and (self.until_us is None or append_us <= self.until_us)
        )


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of a command, as they were given; ``all`` is said where a command asks for it."""

    origins: Sequence[str] = ()
    tenant: str | None = None
    reason: str | None = None
    since: str | None = None
    until: str | None = None
    all: bool = False

    def selection(self) -> Selection:
        """Give what they mean. Raises ValueError, with a text for the user."""
        filters = {
            "--tenant": self.tenant,
            "--reason": self.reason,
            "--since": self.since,
            "--until": self.until,
        }
        if self.origins and any(text is not None for text in filters.values()):
            raise ValueError("give origins, or filters, not both")
        for name, text in (*filters.items(), *(("an origin", one) for one in self.origins)):
            if text == "":
                raise ValueError(f"{name} is empty: leave it out, or say what it should be")
        return Selection(
            origins=frozenset(self.origins),
            tenant=self.tenant,
            reason=self.reason,
            since_us=_microseconds("--since", self.since),
            until_us=_microseconds("--until", self.until),
        )

    def target(self) -> Selection:
        """Give what they mean to a command that changes something: all letters only if told so.

        Raises ValueError, with a text for the user.
        """
        selection = self.selection()
        is_empty = selection == Selection()
        if is_empty and not self.all:
            raise ValueError(
                "which? Give origins as 'tally dead-letters list' shows them, or --tenant, "
                "--reason, --since or --until, or --all"
            )
        if self.all and not is_empty:
            raise ValueError("--all goes with neither origins nor filters: leave one of them out")
        return selection


def _microseconds(flag: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return (parse_timestamp(text) - _EPOCH) // timedelta(microseconds=1)
    except ValueError as error:
        raise ValueError(f"{flag}: {error}") from None
