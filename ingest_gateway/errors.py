"""What can go wrong with the log, by what a sender or an operator may rely on."""


class NotStored(Exception):  # noqa: N818 (named by what the sender may rely on)
    """The log refused the records: none of them will ever be in it. Sending again is safe."""


class TooLarge(NotStored):
    """A record is larger than the log takes; sending it again is useless."""


class OutcomeUnknown(Exception):  # noqa: N818
    """The log was handed the records and did not say what became of them: they may land at any
    later time, and count as appended then.
    """


class Unreachable(Exception):  # noqa: N818
    """The log can't be reached just now; the text says which setting names it."""


class BadTopic(Exception):  # noqa: N818
    """The log is not as the design needs it; the text says which setting, and what mends it."""
