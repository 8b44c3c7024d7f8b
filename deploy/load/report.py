"""What the user sees of a load, all on stderr: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TextIO

import msgspec

from deploy.load.refused import NAMED, RefusedLines

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LINE_EVERY_S: Final = 5.0


class Summary(msgspec.Struct):
    """How a load ended; ``--json`` prints it. Counts are of the whole input, earlier runs included.

    ``line`` is the last line dealt with, ``events_per_second`` is of this run alone.
    """

    finished: bool
    accepted: int
    refused: int
    line: int
    accepted_earlier: int
    seconds: float
    events_per_second: int


class Report:
    """The progress of a run. ``total_bytes`` is the size of the input, None if nobody knows.

    A context manager: the bar is gone at its end.
    """

    def __init__(
        self,
        total_bytes: int | None,
        *,
        stream: TextIO = sys.stderr,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total_bytes
        self._stream = stream
        self._clock = clock
        self._began = self._said_at = clock()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self.accepted = 0

    def __enter__(self) -> Report:
        if self._stream.isatty():
            self._progress, self._task = _bar(self._stream, self._total)
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def note(self, text: str) -> None:
        """Say something now, above the bar."""
        if self._progress is not None:
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self._say(text)

    def advance(self, accepted: int, refused: int, position: int) -> None:
        """Take in that a batch is done; ``refused`` is the count so far."""
        self.accepted += accepted
        done = f"{self.accepted:,} events"
        if refused:
            done += f", {refused:,} refused"
        rate = f"{self.events_per_second:,} events/s"
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=position, done=done, rate=rate)
        elif self._clock() - self._said_at >= _LINE_EVERY_S:
            share = f", {100 * position // self._total}%" if self._total else ""
            self._say(f"{done}, {rate}{share}")

    @property
    def seconds(self) -> float:
        """How long this run has taken."""
        return self._clock() - self._began

    @property
    def events_per_second(self) -> int:
        """The rate of this run so far."""
        return round(self.accepted / max(self.seconds, 1e-6))

    def end(self, summary: Summary, refused: RefusedLines, refused_file: str | None) -> None:
        """Name the refused lines, or their file, and give the figures."""
        if refused_file is not None and refused.count:
            self._say(f"every refused line is named in {refused_file}")
        elif refused.count:
            for refusal in refused.named:
                self._say(str(refusal))
            if refused.count > NAMED:
                more = refused.count - NAMED
                self._say(f"... and {more:,} more; --refused FILE names them all")
        earlier = f" ({summary.accepted_earlier:,} in earlier runs)"
        self._say(
            f"{summary.accepted:,} accepted{earlier if summary.accepted_earlier else ''}, "
            f"{summary.refused:,} refused, {summary.seconds:.1f} s, "
            f"{summary.events_per_second:,} events/s"
        )

    def _say(self, text: str) -> None:
        self._said_at = self._clock()
        self._stream.write(text + "\n")
        self._stream.flush()


def _bar(stream: TextIO, total_bytes: int | None) -> tuple[Progress, TaskID]:
    # Imported here: half of the command's start would be spent on a bar that nobody sees.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    progress = Progress(
        BarColumn(),
        TextColumn("{task.fields[done]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(file=stream),
        transient=True,
    )
    return progress, progress.add_task("", total=total_bytes, done="0 events", rate="")
