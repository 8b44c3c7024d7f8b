"""Another program run to its end: Java's tools, and Maven."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from deploy.embedded.kafka.errors import CannotStartError

_MAX_LINE: Final = 500
# How Java prints an exception: its class with the package, a colon, its text.
_EXCEPTION: Final = re.compile(r"(?:^|[\s.])([A-Z][\w$]*(?:Exception|Error): .+)")


async def run_program(
    command: Sequence[str], timeout_s: float, *, directory: Path | None = None
) -> tuple[int, str]:
    """Give the status and all that was printed. The process never outlives the call.

    Raises CannotStartError if it can't be run, or does not end within ``timeout_s``.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=directory,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        raise CannotStartError(f"'{command[0]}' can't be run: {error.strerror}") from None
    try:
        async with asyncio.timeout(timeout_s):
            output, _ = await process.communicate()
    except TimeoutError:
        raise CannotStartError(f"'{command[0]}' did not end within {timeout_s:g} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace")


def last_line(output: str) -> str:
    """Give the last line that says something, cut where it is long."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:_MAX_LINE] if lines else "it printed nothing"


def last_exception(output: str) -> str:
    """Give the last exception that Java printed, without its package, or else the last line."""
    found = [match[1] for line in output.splitlines() if (match := _EXCEPTION.search(line))]
    return last_line(found[-1] if found else output)
