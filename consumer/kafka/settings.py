"""What an operator may set of the consumer's membership in its group."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.settings import Variables


@dataclass(frozen=True, kw_only=True)
class GroupSettings:
    """``session_timeout_ms`` is how long a consumer that died without a word keeps its partitions.

    With an ``instance_id``, which must be its own for each consumer, one that is restarted within
    that time gets the same partitions back, and one that leaves keeps them as long: for stateful
    sets.
    """

    session_timeout_ms: int = 10_000
    instance_id: str | None = None

    @classmethod
    def read(cls, variables: Variables) -> GroupSettings:
        """Read TALLY_CONSUMER_SESSION_TIMEOUT_MS and TALLY_CONSUMER_GROUP_INSTANCE_ID."""
        return cls(
            session_timeout_ms=variables.whole(
                "TALLY_CONSUMER_SESSION_TIMEOUT_MS", cls.session_timeout_ms, 6_000, 300_000
            ),
            instance_id=variables.text("TALLY_CONSUMER_GROUP_INSTANCE_ID") or None,
        )
