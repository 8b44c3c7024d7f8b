"""What an operator may set of the gateway; each setting is an environment variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from schemas.settings import Variables

# The tables hold hours from 1970 to 2106; half a century each way stays inside.
_MAX_DAYS = 50 * 365


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the gateway listens, and its limits.

    A request's own limits (sizes, counts) are in `schemas.event`.
    """

    host: str = "127.0.0.1"
    port: int = 8081
    max_bytes_in_flight: int = 256 * 1024 * 1024
    body_timeout_s: float = 30.0  # from a request's head to the end of its body
    append_timeout_s: float = 3.5  # a common client library gives up at 5
    max_event_age: timedelta = timedelta(days=15 * 365)
    max_event_ahead: timedelta = timedelta(days=1)

    @classmethod
    def read(cls, variables: Variables) -> Settings:
        """Read the variables TALLY_GATEWAY_*; the mistakes are noted in ``variables``."""
        number = variables.number
        in_flight = number("TALLY_GATEWAY_MAX_BYTES_IN_FLIGHT", cls.max_bytes_in_flight, 1)
        body_s = number("TALLY_GATEWAY_BODY_TIMEOUT_S", cls.body_timeout_s, 0.1)
        timeout_s = number("TALLY_GATEWAY_APPEND_TIMEOUT_S", cls.append_timeout_s, 0.1)
        age_days = number("TALLY_GATEWAY_MAX_EVENT_AGE_DAYS", cls.max_event_age.days, 0, _MAX_DAYS)
        ahead_days = number(
            "TALLY_GATEWAY_MAX_EVENT_AHEAD_DAYS", cls.max_event_ahead.days, 0, _MAX_DAYS
        )
        return cls(
            host=variables.text("TALLY_GATEWAY_HOST", cls.host),
            port=variables.whole("TALLY_GATEWAY_PORT", cls.port, 1, 65535),
            max_bytes_in_flight=int(in_flight),
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
