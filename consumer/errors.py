"""What can go wrong, by what the consumer does about it."""


class Unavailable(Exception):  # noqa: N818 (named by what the caller should take it for)
    """A dependency is down, slow, full or set up wrongly: keep what is held and try again."""


class Misconfigured(Unavailable):
    """A dependency lacks something that a person must mend (a table, a right): keep what is held,
    say so loudly, and try again.
    """


class Refused(Exception):  # noqa: N818
    """The store says that trying the same again is useless: some row among these is at fault."""


class BadRecord(Exception):  # noqa: N818
    """A record that can't become a row: it goes to the dead letters with this text."""


class Revoked(Exception):  # noqa: N818
    """The partitions belong to another consumer by now: drop what is held of them."""


class MustStop(Exception):  # noqa: N818
    """Going on would do harm: stop the consumer with this text; a person must look."""
