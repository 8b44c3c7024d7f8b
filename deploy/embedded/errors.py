"""What keeps a stack from starting."""


class CannotStart(Exception):  # noqa: N818 (named by what it means)
    """Something outside keeps the stack from starting; the text says what to do."""
