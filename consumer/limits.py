"""When so many records become dead letters that the records can't be at fault. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

_WINDOW: Final = 10_000  # records

_WHAT_TO_DO: Final = (
    "mend what is behind that (the table, the topic, a producer) and start the consumer again, or, "
    "if it is the records themselves, raise the limit until they have passed"
)


class _Seen(NamedTuple):
    """What was observed: how many records, which of the last ones were letters, and the run of
    letters that the last record ended or is in.
    """

    records: int
    letters: deque[int]  # numbers of the letters among the last records, ascending
    run: int  # of letters, up to the last letter


class LetterLimits:
    """Counts dead letters among the records of a consumer, over all its partitions.

    ``max_run`` letters may follow one another, and ``max_ratio`` (0 to 1) of the last 10,000
    records may be letters; up to ``max_run`` of them always may.
    """

    def __init__(self, max_run: int, max_ratio: float) -> None:
        self._max_run = max_run
        self._max_ratio = max_ratio
        self._seen = _Seen(0, deque(), 0)

    def observe(self, outcomes: Sequence[bool]) -> str | None:
        """Take in the next records, in their order: True for each that became a dead letter.

        Gives None, or a text for the operator if they break a limit. Then they are not counted:
        the caller does not commit them, and they will come again.
        """
        start = self._seen.records
        letters, run = self._seen.letters.copy(), self._seen.run
        for number, is_letter in enumerate(outcomes, start):
            if not is_letter:
                continue
            run = run + 1 if letters and letters[-1] == number - 1 else 1
            letters.append(number)
            while letters[0] <= number - _WINDOW:
                letters.popleft()
            if broken := self._broken(run, len(letters), min(_WINDOW, number + 1)):
                return f"{broken}: {_WHAT_TO_DO}"
        self._seen = _Seen(start + len(outcomes), letters, run)
        return None

    def most_of(self, records: int) -> int:
        """Give how many of so many records may be letters before a limit is surely broken,
        whichever they are and whatever came before.
        """
        windows = -(-records // _WINDOW)
        return windows * max(self._max_run, int(self._max_ratio * _WINDOW))

    def _broken(self, run: int, letters: int, records: int) -> str | None:
        if run > self._max_run:
            return (
                f"more than {self._max_run} records in a row could not be stored "
                "(TALLY_CONSUMER_MAX_DEAD_LETTER_RUN)"
            )
        if letters >= self._max_run and letters > self._max_ratio * records:
            return (
                f"{letters} of the last {records} records could not be stored, more than "
                f"{self._max_ratio:.0%} (TALLY_CONSUMER_MAX_DEAD_LETTER_RATIO)"
            )
        return None
