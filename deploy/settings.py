"""What ``tally up`` takes from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.client import data_directory

DEFAULT_PORT = 8080


@dataclass(frozen=True, kw_only=True)
class UpSettings:
    """Where the embedded stack listens and keeps its data."""

    data: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT

    @property
    def base_url(self) -> str:
        """Where a program on this machine finds the API."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host  # noqa: S104 (compared)
        return f"http://{host}:{self.port}"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> UpSettings:
        """Read TALLY_PORT, TALLY_HOST and TALLY_DATA. Raises ValueError naming what is wrong."""
        text = env.get("TALLY_PORT") or str(DEFAULT_PORT)
        if not text.isdecimal() or not 1 <= int(text) <= 65535:
            raise ValueError(f"TALLY_PORT={text!r} must be a port, 1 to 65535")
        host = env.get("TALLY_HOST") or cls.host
        if ":" in host:
            raise ValueError(f"TALLY_HOST={host!r} must be an IPv4 address or a name")
        return cls(data=data_directory(env), host=host, port=int(text))
