"""What a process that serves many connections asks of the system and of Python.

Gateway and query service know nothing of each other, so each has this file; a test holds them
equal.
"""

from __future__ import annotations

import gc
import logging
import resource
from contextlib import suppress
from typing import Final

_log = logging.getLogger(__name__)

_ENOUGH_FILES: Final = 8192
_MOST_FILES: Final = 1 << 20
# New objects before the young are looked at, and how often that is before the older are, and all.
_COLLECT_AFTER: Final = (10_000, 20, 100)


def raise_open_files() -> None:
    """Let the process open as many files as it may ever: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):  # macOS has a limit that it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _ENOUGH_FILES:
        _log.warning(
            "no more than %d files may be open, and each connection is one: "
            "raise the limit (ulimit -n) to %d or more",
            soft,
            _ENOUGH_FILES,
        )


def collect_seldom() -> None:
    """Have Python look for garbage in cycles less often: with 3,000 connections open, looking at
    all objects takes 85 ms, in which nobody is answered. Most of ours is freed without it.
    """
    gc.collect()
    gc.freeze()  # what is there by now stays
    gc.set_threshold(*_COLLECT_AFTER)
