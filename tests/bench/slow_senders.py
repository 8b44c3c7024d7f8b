"""A steady sender's latency with and without a thousand slow senders and two thousand idle
connections. Run with ``python -m tests.bench.slow_senders``.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from ingest_gateway.process import raise_open_files
from tests.bench.rounds import MIB, beside, report, steady
from tests.support.api import running_api
from tests.support.senders import Held

PER_S = 100.0
ROUNDS = 3


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.slow_senders")
    parser.add_argument("--slow", type=int, default=1_000)
    parser.add_argument("--idle", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--hold", nargs=2, metavar=("PORT", "KEY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    raise_open_files()
    if options.hold:
        port, api_key = options.hold
        asyncio.run(hold(int(port), api_key, options.idle, options.slow))
        return
    # Slow bodies are held as long as they come: only so are there as many in every round.
    with (
        tempfile.TemporaryDirectory() as directory,
        running_api(Path(directory), TALLY_GATEWAY_BODY_TIMEOUT_S="600") as api,
    ):
        made = api.new_key()
        time.sleep(2)  # until the key counts
        alone, disturbed = [], []
        steady(api, made, PER_S, 2.0)
        for _ in range(ROUNDS):
            alone.append(steady(api, made, PER_S, options.seconds))
            held = ("--hold", api.port, made.api_key, "--slow", options.slow)
            with beside("tests.bench.slow_senders", *held, "--idle", options.idle):
                cpu_s = api.cpu_s()
                disturbed.append(steady(api, made, PER_S, options.seconds))
                cpu_s = api.cpu_s() - cpu_s
        report(f"{options.slow} slow and {options.idle} idle", alone, disturbed)
        sys.stdout.write(
            f"gateway: {cpu_s / options.seconds:.2f} cores in the last round, "
            f"{api.memory_bytes(peak=True) / MIB:.0f} MiB at most\n"
        )


async def hold(port: int, api_key: str, idle: int, slow: int) -> None:
    """Hold connections until the standard input ends."""
    held = Held(port, api_key)
    await held.open(idle=idle, slow=slow)
    sys.stdout.write("held\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await held.close()


if __name__ == "__main__":
    main()
