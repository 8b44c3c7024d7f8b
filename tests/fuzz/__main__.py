"""``make fuzz``: many cases, or one of them again."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.run import MIB, Found, Fuzz, fuzzed_stack, make_case


async def fuzz_all(fuzz: Fuzz, seed: int, count: int) -> None:
    """Send every case, and see that all that was accepted is stored and read. Raises Found."""
    began, before = time.monotonic(), fuzz.memory_bytes()
    try:
        await fuzz.run(seed, count)
    except* Found as group:
        raise Found("\n\n".join(str(error) for error in group.exceptions)) from None
    finally:
        took_s = time.monotonic() - began
        print(
            f"seed {seed}: {fuzz.sent} cases in {took_s:.0f} s, memory {before // MIB} to "
            f"{fuzz.memory_bytes() // MIB} MiB, answers {dict(sorted(fuzz.statuses.items()))}"
        )
    fuzz.stack.wait_until_stored(within_s=120)
    letters = fuzz.refused_by_the_consumer()
    if letters:
        raise Found(f"{letters} events were accepted and can't be stored: tally dead-letters list")
    print(f"{await fuzz.read_everything()} events are stored and can be read")
    fuzz.look("at the end")


def main() -> int:
    """Run, and tell what was found on stderr; give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--case", type=int, help="send this one alone, and print the answer")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, fuzzed_stack(Path(directory)) as fuzz:
        try:
            if arguments.case is None:
                asyncio.run(fuzz_all(fuzz, arguments.seed, arguments.requests))
            else:
                case = make_case(arguments.seed, arguments.case, fuzz.good)
                print(case.wire)
                asyncio.run(fuzz.send(case))
                print(dict(fuzz.statuses))
                fuzz.look("after it")
        except Found as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
