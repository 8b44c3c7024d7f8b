"""How long to wait before a request is sent again, and when to give up. Pure but for the dice."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

_FIRST_DELAY_S: Final = 0.25
_MAX_DELAY_S: Final = 10.0


class Patience:
    """Waits twice as long after each failure, until ``retry_for_s`` pass without a success."""

    def __init__(
        self,
        retry_for_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._retry_for_s = retry_for_s
        self._clock = clock
        self._dice = dice
        self._failures = 0
        self._failing_since: float | None = None

    def succeeded(self) -> None:
        """Start anew: something was accepted."""
        self._failures = 0
        self._failing_since = None

    def next_delay_s(self, retry_after_s: float | None) -> float | None:
        """Count a failure; give the seconds to wait, or None when it is time to give up.

        Never sooner than the server asked for; a server that asks for more than is left is not
        waited for.
        """
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        left = self._failing_since + self._retry_for_s - now
        ceiling = min(_MAX_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(self._failures, 16))
        self._failures += 1
        # Half of it by chance: many loaders that failed at once don't come back at once.
        backoff = ceiling * (0.5 + 0.5 * self._dice())
        asked = retry_after_s or 0.0
        if left <= 0 or asked > left:
            return None
        return max(min(backoff, left), asked + 0.1 * backoff if asked else 0.0)
