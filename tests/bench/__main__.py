"""Measure the embedded stack: how soon ready, how fresh a read, how fast a load.

Real processes, the installed command, rounds in turn with the baseline; medians with their
spread. Absolute figures vary by machine: the ratio is what to compare.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.read import post_event, seconds_until_readable
from tests.support.clickhouse import free_port
from tests.support.flights import flights, write_ndjson
from tests.support.stack import TALLY, Stack, running_stack, wait_until

ROUNDS = 3
FRESH_EVENTS = 40
FLIGHTS = 27_000  # each sent twice, as in a real month of departures
# Far below what the pipeline does here, and far above what one that waits somewhere would.
LEAST_LOAD_RATIO = 0.05

Figures = dict[str, list[float]]


@contextmanager
def sink() -> Iterator[str]:
    """Run the baseline server; give its URL."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.sink", str(port)])
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return post_event(url, {}, {}) == 202
        except OSError:
            return False

    try:
        wait_until(answers, what="the baseline server")
        yield url
    finally:
        process.terminate()
        process.wait()


def load_rate(path: Path, env: dict[str, str], *options: str) -> float:
    """Load a file with the installed command; give events/s, as the command counts them."""
    done = subprocess.run(
        [TALLY, "load", path, "--json", *options], env=env, capture_output=True, check=True
    )
    return float(json.loads(done.stdout)["events_per_second"])


def one_round(path: Path, directory: Path, baseline_url: str, figures: Figures) -> None:
    """Start a stack, measure it beside the baseline, and stop it."""
    env = {**os.environ, "XDG_STATE_HOME": str(directory)}
    baseline = load_rate(path, env, "--url", baseline_url, "--key", "any")
    figures["baseline load, events/s"].append(baseline)
    started_at = time.monotonic()
    with running_stack(directory) as stack:
        figures["ready, s"].append(time.monotonic() - started_at)
        fresh = [seconds_until_readable(stack, f"fresh-{n}") for n in range(FRESH_EVENTS)]
        figures["readable after 202 at rest, median s"].append(statistics.median(fresh))
        figures["readable after 202 at rest, worst s"].append(max(fresh))
        loaded = load_rate(path, stack.env)
        ended_at = time.monotonic()
        figures["load, events/s"].append(loaded)
        figures["load, ratio to baseline"].append(loaded / baseline)
        stack.wait_until_stored()
        figures["all stored after the load's end, s"].append(time.monotonic() - ended_at)
        check_count(stack)


def check_count(stack: Stack) -> None:
    """A figure of a pipeline that lost something would be worth nothing."""
    url = f"{stack.client['CLICKHOUSE_URL']}/?query=SELECT+count()+FROM+events+FINAL"
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert int(answer.read()) == FLIGHTS + FRESH_EVENTS


def report(figures: Figures) -> dict[str, Any]:
    """Print the table; give what goes into bench.json."""
    table = Table("figure", "median", "least", "most", title=f"{ROUNDS} rounds")
    summary: dict[str, Any] = {}
    for name, values in figures.items():
        cells = (statistics.median(values), min(values), max(values))
        summary[name] = dict(zip(("median", "least", "most"), cells, strict=True))
        table.add_row(name, *(f"{cell:,.0f}" if cell > 1000 else f"{cell:.2f}" for cell in cells))
    Console().print(table)
    return summary


def main() -> int:
    """Measure, print a table, write bench.json; 1 if the ratio is below its goal."""
    figures: Figures = {
        name: []
        for name in (
            "ready, s",
            "readable after 202 at rest, median s",
            "readable after 202 at rest, worst s",
            "baseline load, events/s",
            "load, events/s",
            "load, ratio to baseline",
            "all stored after the load's end, s",
        )
    }
    with tempfile.TemporaryDirectory() as name, sink() as baseline_url:
        path = write_ndjson(Path(name) / "flights.ndjson", flights(FLIGHTS))
        for number in range(ROUNDS):
            directory = Path(name) / str(number)
            directory.mkdir()
            one_round(path, directory, baseline_url, figures)
    summary = report(figures)
    Path("bench.json").write_text(json.dumps(summary, indent=2) + "\n")
    ratio = summary["load, ratio to baseline"]["median"]
    if ratio < LEAST_LOAD_RATIO:
        sys.stderr.write(f"load, ratio to baseline: {ratio:.3f}, goal {LEAST_LOAD_RATIO}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
