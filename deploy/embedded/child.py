"""How a process of the embedded stack tells its supervisor that it is ready, and learns that it
should stop.

A child ends when its supervisor does, however that ends: the supervisor holds the writing end
of a pipe, and a pipe closes even after SIGKILL. On Linux the kernel sends SIGTERM as well, which
also reaches a child that has not begun to watch the pipe.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def watch_for_stop(parent_pipe: int | None) -> asyncio.Event:
    """Give the event that is set once this process should drain and leave.

    ``parent_pipe`` is the descriptor of the reading end of the supervisor's pipe, or None for a
    process that was started by hand. SIGTERM and SIGINT set the event; one more than is due ends
    the process at once with status 130. Call it once, inside the running loop.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    allowed = 1 if parent_pipe is None else 2  # the supervisor's, and the kernel's at its death

    signals = 0

    def on_signal() -> None:
        # Not `stop` is asked: the pipe may have set it, and the kernel's signal comes besides.
        nonlocal signals
        signals += 1
        if signals > allowed:
            os._exit(130)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    if parent_pipe is not None:
        _ask_for_sigterm_at_parents_death()

        def on_pipe_closed() -> None:
            loop.remove_reader(parent_pipe)
            stop.set()

        loop.add_reader(parent_pipe, on_pipe_closed)
    return stop


def tell_ready(ready_pipe: int | None) -> None:
    """Tell the supervisor that this process does its work now. Once."""
    if ready_pipe is not None:
        os.write(ready_pipe, b"ready\n")
        os.close(ready_pipe)


def _ask_for_sigterm_at_parents_death() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
