"""What can go wrong, by what the consumer does about it."""


class Unavailable(Exception):  # noqa: N818 (named by what the caller should take it for)
    """A dependency is down, slow or full: keep what is held and try again."""


class Refused(Exception):  # noqa: N818
    """A dependency says that trying the same again is useless: a person must look."""


class BadRecord(Exception):  # noqa: N818
    """A record that can't become a row: it goes to the dead letters with this text."""
