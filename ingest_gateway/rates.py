"""How much a key may send in the long run: a token bucket of events and one of bytes for each key.
Pure: the clock is passed in.

Whoever is not in debt may send, and is charged the whole cost when it is known. So a bulk of more
than a second's worth passes, and is paid off before the next; the rate in the long run is exact.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from schemas.keys import KeyRecord

BURST_S: Final = 1.0  # what was not used is kept for this long: a bucket is a second's worth
_FORGET_EVERY_S: Final = 60.0

EVENTS_PER_S: Final = "events_per_s"
BYTES_PER_S: Final = "bytes_per_s"


class Debt(NamedTuple):
    """A limit that a key is over: its name (a field of `KeyRecord`), its value, and in how many
    seconds the key is out of debt.
    """

    limit: str
    per_s: float
    wait_s: float


class Rates:
    """What each key has sent of late, in this process: several gateways count each for itself.

    The limits are those of the key, and where it has none, those given here; 0 is no limit.
    ``clock`` gives seconds that only grow.
    """

    def __init__(
        self,
        events_per_s: float = 0.0,
        bytes_per_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._events = _Buckets(EVENTS_PER_S, events_per_s)
        self._bytes = _Buckets(BYTES_PER_S, bytes_per_s)
        self._clock = clock
        self._forget_at = clock() + _FORGET_EVERY_S

    def debt(self, caller: KeyRecord) -> Debt | None:
        """Give the debt that takes a key longest to pay, or None if it may send now."""
        if not self._events.level_at and not self._bytes.level_at:
            return None
        now = self._clock()
        of_events, of_bytes = self._events.debt(caller, now), self._bytes.debt(caller, now)
        if of_events is None or of_bytes is None:
            return of_events or of_bytes
        return max(of_events, of_bytes, key=lambda debt: debt.wait_s)

    def wait_s(self, caller: KeyRecord) -> float:
        """Give 0.0 if a key may send now, else how many seconds it must wait."""
        debt = self.debt(caller)
        return 0.0 if debt is None else debt.wait_s

    def charge(self, caller: KeyRecord, events: int, size_bytes: int) -> None:
        """Charge a key what it sent, however much: what it has not, it owes."""
        now = self._clock()
        if now >= self._forget_at:
            self._forget_at = now + _FORGET_EVERY_S
            self._events.forget(now)
            self._bytes.forget(now)
        self._events.charge(caller, events, now)
        self._bytes.charge(caller, size_bytes, now)

    @property
    def keys_held(self) -> int:
        """Of how many keys anything is remembered."""
        return len(self._events.level_at.keys() | self._bytes.level_at.keys())


class _Buckets:
    """The buckets of one limit. ``level_at`` has the time at which a key's bucket stands at 0:
    what is ahead of now is debt, and up to BURST_S behind it, what may be spent at once.
    """

    def __init__(self, limit: str, per_s: float) -> None:
        self._limit = limit
        self._per_s = per_s
        self.level_at: dict[str, float] = {}

    def _of(self, caller: KeyRecord) -> float:
        own: float | None = getattr(caller, self._limit)
        return self._per_s if own is None else own

    def debt(self, caller: KeyRecord, now: float) -> Debt | None:
        wait_s = self.level_at.get(caller.key_id, now) - now
        if wait_s <= 0 or not (per_s := self._of(caller)):  # the limit may be lifted by now
            return None
        return Debt(self._limit, per_s, wait_s)

    def charge(self, caller: KeyRecord, cost: int, now: float) -> None:
        if per_s := self._of(caller):
            full_at = now - BURST_S
            level_at = max(self.level_at.get(caller.key_id, full_at), full_at)
            self.level_at[caller.key_id] = level_at + cost / per_s

    def forget(self, now: float) -> None:
        """Drop the buckets that are full again: they say what none would say."""
        for key_id in [key_id for key_id, at in self.level_at.items() if at <= now - BURST_S]:
            del self.level_at[key_id]
