"""What keeps a broker from running."""

from __future__ import annotations


class CannotStartError(Exception):
    """The broker can't run; the text is one line that says what to install, free or read."""
