"""Where Kafka's jars are kept between starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def jar_cache(env: Mapping[str, str]) -> Path:
    """Give the user's cache directory, as XDG_CACHE_HOME says; it may not be there yet."""
    given = Path(env.get("XDG_CACHE_HOME") or "")
    # The XDG specification: a relative path is to be ignored.
    return (given if given.is_absolute() else Path.home() / ".cache") / "tally"
