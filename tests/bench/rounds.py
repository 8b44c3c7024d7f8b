"""Rounds of a steady sender alone and with somebody beside it, in turn, on one gateway."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from schemas.keys import NewKey
from tests.support.api import Api
from tests.support.senders import Sent, quantile_ms, send_steadily

MIB = 1 << 20


@contextmanager
def beside(module: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run ``python -m MODULE ARGUMENTS`` in a process of its own, which prints a line when it has
    begun and ends when its input does.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"{module} ended with status {process.wait()}"
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        sys.stdout.write(process.stdout.read())
        process.stdout.close()
        process.wait(60)


def steady(api: Api, made: NewKey, per_s: float, seconds: float) -> list[Sent]:
    """One measured stretch; every event must be accepted."""
    sent = asyncio.run(send_steadily(api.url, made.api_key, per_s=per_s, seconds=seconds))
    statuses = Counter(one.status for one in sent)
    assert statuses == {202: len(sent)}, statuses
    return sent


def report(name: str, alone: Sequence[list[Sent]], disturbed: Sequence[list[Sent]]) -> None:
    """Print medians over the rounds, and their ratio."""
    for share in (0.5, 0.99):
        before = [quantile_ms(sent, share) for sent in alone]
        after = [quantile_ms(sent, share) for sent in disturbed]
        one, other = statistics.median(before), statistics.median(after)
        sys.stdout.write(
            f"p{share * 100:g}: alone {one:.1f} ms ({_spread(before)}), {name} {other:.1f} ms "
            f"({_spread(after)}), ratio {other / one:.2f}\n"
        )


def _spread(figures: Sequence[float]) -> str:
    return f"{min(figures):.1f} to {max(figures):.1f}"
