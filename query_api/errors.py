"""What can go wrong with a store, by what the caller should do about it."""

from __future__ import annotations


class StoreUnavailable(Exception):  # noqa: N818 (the name tells what it is, as HTTP's do)
    """Ask again later: the store can't be reached, is too busy, or is not set up yet."""


class QueryTooCostly(Exception):  # noqa: N818 (the name tells what it is, as HTTP's do)
    """Ask for less: the query went over a limit, which the text names."""


class StoreFailed(Exception):  # noqa: N818 (the name tells what it is, as HTTP's do)
    """A fault of ours: the store refused a query for a reason that nobody foresaw."""
