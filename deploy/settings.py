"""What ``tally up`` takes from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.client import KAFKA_ADDRESS, KAFKA_PREFIX, data_directory
from schemas.kafka import KafkaSettings

DEFAULT_PORT = 8080


@dataclass(frozen=True, kw_only=True)
class UpSettings:
    """Where the embedded stack listens, keeps its data, and which log it runs on.

    ``kafka`` is None for the embedded log. Without ``bootstrap_servers`` in it, the stack runs a
    broker of its own.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    kafka: KafkaSettings | None = None

    @property
    def base_url(self) -> str:
        """Where a program on this machine finds the API."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host  # noqa: S104 (compared)
        return f"http://{host}:{self.port}"

    @classmethod
    def from_env(cls, env: Mapping[str, str], *, kafka: str | None = None) -> UpSettings:
        """Read TALLY_PORT, TALLY_HOST, TALLY_DATA and, for a log in Kafka, TALLY_KAFKA_*.

        ``kafka`` is what the command line says: None for the embedded log, an address, or "" for
        the address in the environment and, without one, a broker of the stack's own.
        Raises ValueError naming what is wrong.
        """
        text = env.get("TALLY_PORT") or str(DEFAULT_PORT)
        if not text.isdecimal() or not 1 <= int(text) <= 65535:
            raise ValueError(f"TALLY_PORT={text!r} must be a port, 1 to 65535")
        host = env.get("TALLY_HOST") or cls.host
        if ":" in host:
            raise ValueError(f"TALLY_HOST={host!r} must be an IPv4 address or a name")
        return cls(
            data=data_directory(env), host=host, port=int(text), kafka=_read_kafka(env, kafka)
        )


def _read_kafka(env: Mapping[str, str], asked: str | None) -> KafkaSettings | None:
    given = env.get(KAFKA_ADDRESS, "")
    if asked is None:
        if given:
            # 'tally keys' and 'tally status' would look there, and not into this stack's log.
            raise ValueError(f"{KAFKA_ADDRESS} is set: give --kafka to run on it, or unset it")
        return None
    if address := asked or given:
        return KafkaSettings.from_env({**env, KAFKA_ADDRESS: address})
    # A broker of one's own has neither TLS nor users; its address is chosen when it starts.
    checked = KafkaSettings.from_env(
        {KAFKA_ADDRESS: "127.0.0.1:0", KAFKA_PREFIX: env.get(KAFKA_PREFIX, "")}
    )
    return KafkaSettings(bootstrap_servers="", topic_prefix=checked.topic_prefix)
