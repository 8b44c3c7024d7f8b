"""What an operator may set of the gateway; each setting is an environment variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from schemas.event import MAX_BODY_BYTES
from schemas.settings import Variables

# The tables hold hours from 1970 to 2106; half a century each way stays inside.
_MAX_DAYS = 50 * 365


def _part(max_bytes_in_flight: int) -> int:
    """What one key may hold of all bytes in flight: a quarter, but any one body fits."""
    return max(max_bytes_in_flight // 4, MAX_BODY_BYTES)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the gateway listens, and its limits.

    A request's own limits (sizes, counts) are in `schemas.event`.
    """

    host: str = "127.0.0.1"
    port: int = 8081
    max_bytes_in_flight: int = 256 * 1024 * 1024
    max_bytes_in_flight_per_key: int = 64 * 1024 * 1024
    # What a key may send that has no limits of its own; 0 is no limit.
    max_events_per_s_per_key: float = 0.0
    max_bytes_per_s_per_key: float = 0.0
    head_timeout_s: float = 10.0  # from a request's first byte to the end of its head
    keepalive_timeout_s: float = 75.0  # longer than the 60 s of common proxies
    body_timeout_s: float = 30.0  # from a request's head to the end of its body
    append_timeout_s: float = 3.5  # a common client library gives up at 5
    max_event_age: timedelta = timedelta(days=15 * 365)
    max_event_ahead: timedelta = timedelta(days=1)

    @classmethod
    def read(cls, variables: Variables) -> Settings:
        """Read the variables TALLY_GATEWAY_*; the mistakes are noted in ``variables``."""
        number = variables.number
        # With less, the largest body would be told for ever to come again.
        whole, least = variables.whole, MAX_BODY_BYTES
        in_flight = whole("TALLY_GATEWAY_MAX_BYTES_IN_FLIGHT", cls.max_bytes_in_flight, least)
        of_key = whole("TALLY_GATEWAY_MAX_BYTES_IN_FLIGHT_PER_KEY", _part(in_flight), least)
        events_per_s = number("TALLY_GATEWAY_MAX_EVENTS_PER_S_PER_KEY", 0, 0)
        bytes_per_s = number("TALLY_GATEWAY_MAX_BYTES_PER_S_PER_KEY", 0, 0)
        head_s = number("TALLY_GATEWAY_HEAD_TIMEOUT_S", cls.head_timeout_s, 0.1)
        keepalive_s = number("TALLY_GATEWAY_KEEPALIVE_TIMEOUT_S", cls.keepalive_timeout_s, 0.1)
        body_s = number("TALLY_GATEWAY_BODY_TIMEOUT_S", cls.body_timeout_s, 0.1)
        timeout_s = number("TALLY_GATEWAY_APPEND_TIMEOUT_S", cls.append_timeout_s, 0.1)
        age_days = number("TALLY_GATEWAY_MAX_EVENT_AGE_DAYS", cls.max_event_age.days, 0, _MAX_DAYS)
        ahead_days = number(
            "TALLY_GATEWAY_MAX_EVENT_AHEAD_DAYS", cls.max_event_ahead.days, 0, _MAX_DAYS
        )
        return cls(
            host=variables.text("TALLY_GATEWAY_HOST", cls.host),
            port=variables.whole("TALLY_GATEWAY_PORT", cls.port, 1, 65535),
            max_bytes_in_flight=in_flight,
            max_bytes_in_flight_per_key=of_key,
            max_events_per_s_per_key=events_per_s,
            max_bytes_per_s_per_key=bytes_per_s,
            head_timeout_s=head_s,
            keepalive_timeout_s=keepalive_s,
            body_timeout_s=body_s,
            append_timeout_s=timeout_s,
            max_event_age=timedelta(days=age_days),
            max_event_ahead=timedelta(days=ahead_days),
        )

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read the variables TALLY_GATEWAY_*. Raises ValueError naming every wrong one."""
        variables = Variables(env)
        settings = cls.read(variables)
        variables.check()
        return settings
