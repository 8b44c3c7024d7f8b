"""What is done with one batch, step by step. Killed anywhere in here, a replay ends the same."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from consumer.dead_letter import DeadLetters
from consumer.errors import BadRecord, MustStop, Refused, Unavailable
from consumer.intake import Sent, take_in
from consumer.isolate import insert_isolating
from consumer.limits import LetterLimits
from consumer.offsets import Versions
from consumer.resolve import group_by_identity, second_look
from consumer.settings import Settings
from consumer.source import Source
from consumer.store import Store
from schemas.dead_letters import DeadLetter, attempts_before
from schemas.record import VERSION_HEADER, LogRecord

_log = logging.getLogger(__name__)

_FIRST_BACKOFF_S: Final = 0.1
_LAST_BACKOFF_S: Final = 5.0

T = TypeVar("T")


class BatchWriter:
    """Stores batches, one after the other, and commits each.

    ``check_twice`` turns on the second look, which is needed wherever two partitions may hold one
    event ID: where the partition count can grow.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        dead_letters: DeadLetters,
        settings: Settings,
        *,
        check_twice: bool,
    ) -> None:
        self._source = source
        self._store = store
        self._dead_letters = dead_letters
        self._check_twice = check_twice
        self._limits = LetterLimits(settings.max_dead_letter_run, settings.max_dead_letter_ratio)

    async def write(self, records: Sequence[LogRecord], versions: Versions) -> None:
        """Store a batch, then commit it; retries for as long as a dependency is away.

        Raises `Revoked` or `MustStop`. Cancelled or failed, it has committed nothing.
        """
        taken = [_take(record, versions) for record in records]
        positions = {record.partition: versions.position(record.partition) for record in records}
        groups = group_by_identity(one.sent for one in taken if one.sent is not None)
        # 1. look up; the batch before this one is in the index already
        known = await self._insist("look-up", lambda: self._store.look_up(groups))
        # 2. events and tombstones, in one insert; rows that are refused are found and left out
        at_most = self._limits.most_of(len(records)) + sum(
            VERSION_HEADER in record.headers for record in records
        )
        stored = await self._insist(
            "insert of events",
            lambda: insert_isolating(self._store, groups, known, at_most=at_most),
        )
        # 3. the index, which only now may know of them
        if stored.entries:
            await self._insist(
                "insert of IDs", lambda: self._store.insert_event_ids(stored.entries)
            )
        # 4. the second look
        if self._check_twice and groups:
            known = await self._insist("second look", lambda: self._store.look_up(groups))
            if hidden := second_look(groups, known):
                await self._insist("tombstones", lambda: self._store.insert_events(hidden))
        # 5. what can't be stored
        if letters := self._letters(taken, stored.refused):
            await self._insist("dead letters", lambda: self._dead_letters.append(letters))
        # 6. the offsets
        await self._insist("commit", lambda: self._source.commit(positions))

    def _letters(
        self, taken: Sequence[_Taken], refused: Sequence[tuple[Sent, str]]
    ) -> list[DeadLetter]:
        """Give the dead letters of a batch. Raises MustStop if there are too many of them."""
        refusals = {id(sent): reason for sent, reason in refused}
        reasons = [one.reason or refusals.get(id(one.sent)) for one in taken]
        # A letter that a person sent back may be as bad as it was: that says nothing new.
        outcomes = [
            reason is not None and not attempts_before(one.record)
            for one, reason in zip(taken, reasons, strict=True)
        ]
        if too_many := self._limits.observe(outcomes):
            example = next(reason for reason in reasons if reason is not None)
            raise MustStop(
                f"{too_many}; nothing of this batch is committed. One of them: {example}"
            )
        return [
            DeadLetter(
                self._source.topic,
                one.record,
                one.version,
                reason,
                attempts_before(one.record) + 1,
            )
            for one, reason in zip(taken, reasons, strict=True)
            if reason is not None
        ]

    async def _insist(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Do it, however long the dependency is away; the batch and its place are kept."""
        backoff_s = _FIRST_BACKOFF_S
        while True:
            try:
                return await attempt()
            except (Unavailable, Refused) as error:
                level = logging.WARNING if type(error) is Unavailable else logging.ERROR
                _log.log(level, "%s failed, again in %.1f s: %s", what, backoff_s, error)
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _LAST_BACKOFF_S)


class _Taken(NamedTuple):
    """A record with its version, and either what it says or why it can't be read."""

    record: LogRecord
    version: int
    sent: Sent | None
    reason: str | None


def _take(record: LogRecord, versions: Versions) -> _Taken:
    version = versions.stamp(record)
    try:
        return _Taken(record, version, take_in(record, version), None)
    except BadRecord as error:
        return _Taken(record, version, None, str(error))
