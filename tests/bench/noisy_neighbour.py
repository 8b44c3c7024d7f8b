"""A quiet tenant's latency with and without a noisy one that sends ten times its limit, whatever
it is answered. Run with ``python -m tests.bench.noisy_neighbour``.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from aiohttp import ClientSession, TCPConnector

from tests.bench.rounds import MIB, beside, report, steady
from tests.support.api import running_api
from tests.support.senders import EVENT, send_steadily

LIMIT_PER_S = 200
QUIET_PER_S = 50.0
CONNECTIONS = 20
ROUNDS = 3
FLAT_OUT = 0.0


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.noisy_neighbour")
    parser.add_argument("--per-s", type=float, default=10 * LIMIT_PER_S, help="0: flat out")
    parser.add_argument("--body-bytes", type=int, default=len(EVENT))
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--send", nargs=2, metavar=("URL", "KEY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send:
        url, api_key = options.send
        asyncio.run(send(url, api_key, options.per_s, options.body_bytes, options.seconds))
        return
    with tempfile.TemporaryDirectory() as directory, running_api(Path(directory)) as api:
        quiet, noisy = api.new_key("quiet"), api.new_key("noisy", events_per_s=LIMIT_PER_S)
        time.sleep(2)  # until the keys count
        alone, disturbed = [], []
        steady(api, quiet, QUIET_PER_S, 2.0)
        for _ in range(ROUNDS):
            alone.append(steady(api, quiet, QUIET_PER_S, options.seconds))
            sending = ("--send", api.url, noisy.api_key, "--per-s", options.per_s)
            with beside(
                "tests.bench.noisy_neighbour",
                *sending,
                *("--seconds", options.seconds + 3, "--body-bytes", options.body_bytes),
            ):
                cpu_s = api.cpu_s()
                disturbed.append(steady(api, quiet, QUIET_PER_S, options.seconds))
                cpu_s = api.cpu_s() - cpu_s
        report("with the noisy one", alone, disturbed)
        sys.stdout.write(
            f"gateway: {cpu_s / options.seconds:.2f} cores in the last round, "
            f"{api.memory_bytes(peak=True) / MIB:.0f} MiB at most\n"
        )


async def send(url: str, api_key: str, per_s: float, body_bytes: int, seconds: float) -> None:
    """Be noisy for so long, and say what came of it."""
    sys.stdout.write("sending\n")
    sys.stdout.flush()
    body = EVENT + b" " * (body_bytes - len(EVENT))
    start = time.monotonic()
    if per_s == FLAT_OUT:
        statuses = await flat_out(url, api_key, body, seconds)
    else:
        sent = await send_steadily(
            url, api_key, per_s=per_s, seconds=seconds, connections=CONNECTIONS, body=body
        )
        statuses = Counter(one.status for one in sent)
    rates = {status: round(n / (time.monotonic() - start)) for status, n in statuses.items()}
    sys.stdout.write(f"the noisy one, answers a second: {rates}\n")


async def flat_out(url: str, api_key: str, body: bytes, seconds: float) -> Counter[int]:
    """Send the next as soon as the last is answered, on every connection."""
    statuses: Counter[int] = Counter()
    end = time.monotonic() + seconds

    async def one(session: ClientSession) -> None:
        while time.monotonic() < end:
            try:
                async with session.post("/v1/events", data=body) as response:
                    await response.read()
                    statuses[response.status] += 1
            except OSError:
                statuses[0] += 1  # closed before it could be read

    headers = {"x-api-key": api_key, "Content-Type": "application/json"}
    connector = TCPConnector(limit=CONNECTIONS)
    async with ClientSession(url, headers=headers, connector=connector) as session:
        await asyncio.gather(*(one(session) for _ in range(CONNECTIONS)))
    return statuses


if __name__ == "__main__":
    main()
