"""How the consumer is a member of its group, and what of that an operator may set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from schemas.settings import Variables

_FETCH_BYTES: Final = 16 * 1024 * 1024
_FETCH_PARTITION_BYTES: Final = 1024 * 1024
# A consumer that waits for ClickHouse is not dead: nobody else could store its partitions either.
_NO_POLL_TIMEOUT_MS: Final = 2**31 - 1


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

    def consumer_options(self) -> dict[str, Any]:
        """Give what aiokafka's consumer takes, beside how Kafka is reached."""
        return {
            "group_instance_id": self.instance_id,
            "session_timeout_ms": self.session_timeout_ms,
            "heartbeat_interval_ms": self.session_timeout_ms // 4,
            "max_poll_interval_ms": _NO_POLL_TIMEOUT_MS,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "isolation_level": "read_committed",
            "fetch_max_bytes": _FETCH_BYTES,
            "max_partition_fetch_bytes": _FETCH_PARTITION_BYTES,
        }
