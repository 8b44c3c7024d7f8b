"""How a Kafka is reached and what its topics are called: one set of settings for every service."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.settings import Variables

_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_ADDRESS: Final = re.compile(r"\s*[^\s:,]+:\d{1,5}\s*(,\s*[^\s:,]+:\d{1,5}\s*)*")
_PREFIX: Final = re.compile(r"[A-Za-z0-9._-]{1,200}")
# How soon a client sees that a topic has more partitions.
_METADATA_MAX_AGE_MS: Final = 10_000
# While a broker is away each attempt of a client is a line in the log.
_RETRY_BACKOFF_MS: Final = 500


@dataclass(frozen=True, kw_only=True)
class KafkaSettings:
    """``bootstrap_servers`` is ``host:port[,host:port...]``; the files are PEM."""

    bootstrap_servers: str
    topic_prefix: str = "tally"
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    sasl_username: str = ""
    sasl_password: str = ""
    ssl_ca_file: str = ""
    ssl_cert_file: str = ""
    ssl_key_file: str = ""
    ssl_key_password: str = ""

    @property
    def events_topic(self) -> str:
        """Where the gateway appends."""
        return f"{self.topic_prefix}.events"

    @property
    def dead_letters_topic(self) -> str:
        """Where records go that can't be stored; compacted, a letter goes when it is dropped."""
        return f"{self.topic_prefix}.dead-letters"

    @property
    def keys_topic(self) -> str:
        """Where API keys are kept; compacted."""
        return f"{self.topic_prefix}.keys"

    @property
    def group(self) -> str:
        """The consumers' group."""
        return self.topic_prefix

    @classmethod
    def read(cls, variables: Variables) -> KafkaSettings:
        """Read the variables TALLY_KAFKA_*; the mistakes are noted in ``variables``."""
        servers = variables.text(
            "TALLY_KAFKA_BOOTSTRAP_SERVERS", required="such as kafka-1:9092,kafka-2:9092"
        )
        if servers and not _ADDRESS.fullmatch(servers):
            variables.refuse(
                f"TALLY_KAFKA_BOOTSTRAP_SERVERS={servers!r} must look like host:port[,host:port]"
            )
        prefix = variables.text("TALLY_KAFKA_TOPIC_PREFIX", cls.topic_prefix)
        if not _PREFIX.fullmatch(prefix):
            variables.refuse(
                f"TALLY_KAFKA_TOPIC_PREFIX={prefix!r} may hold letters, digits, '.', '_' and '-'"
            )
        settings = cls(
            bootstrap_servers=servers,
            topic_prefix=prefix,
            security_protocol=variables.text(
                "TALLY_KAFKA_SECURITY_PROTOCOL", cls.security_protocol, choices=_PROTOCOLS
            ),
            sasl_mechanism=variables.text(
                "TALLY_KAFKA_SASL_MECHANISM", cls.sasl_mechanism, choices=_MECHANISMS
            ),
            sasl_username=variables.text("TALLY_KAFKA_SASL_USERNAME"),
            sasl_password=variables.secret("TALLY_KAFKA_SASL_PASSWORD"),
            ssl_ca_file=variables.file("TALLY_KAFKA_SSL_CA_FILE"),
            ssl_cert_file=variables.file("TALLY_KAFKA_SSL_CERT_FILE"),
            ssl_key_file=variables.file("TALLY_KAFKA_SSL_KEY_FILE"),
            ssl_key_password=variables.secret("TALLY_KAFKA_SSL_KEY_PASSWORD"),
        )
        settings._check_together(variables)
        return settings

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> KafkaSettings:
        """Read the variables TALLY_KAFKA_*. Raises ValueError naming every mistake."""
        variables = Variables(env)
        settings = cls.read(variables)
        variables.check()
        return settings

    def client_options(self) -> dict[str, Any]:
        """Give what every client of aiokafka takes to connect. Opens the files."""
        options: dict[str, Any] = {
            "bootstrap_servers": [part.strip() for part in self.bootstrap_servers.split(",")],
            "security_protocol": self.security_protocol,
            "metadata_max_age_ms": _METADATA_MAX_AGE_MS,
            "retry_backoff_ms": _RETRY_BACKOFF_MS,
        }
        if self._uses_sasl:
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password
        if self._uses_tls:
            options["ssl_context"] = self._tls_context()
        return options

    @property
    def _uses_sasl(self) -> bool:
        return self.security_protocol.startswith("SASL")

    @property
    def _uses_tls(self) -> bool:
        return self.security_protocol.endswith("SSL")

    def _tls_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ssl_ca_file or None)
        if self.ssl_cert_file:
            context.load_cert_chain(
                self.ssl_cert_file, self.ssl_key_file or None, self.ssl_key_password or None
            )
        return context

    def _check_together(self, variables: Variables) -> None:
        """Note what is wrong only in the light of another variable."""
        if self._uses_sasl and not (self.sasl_username and self.sasl_password):
            variables.refuse(
                f"TALLY_KAFKA_SECURITY_PROTOCOL={self.security_protocol} needs "
                "TALLY_KAFKA_SASL_USERNAME and TALLY_KAFKA_SASL_PASSWORD (or ..._FILE)"
            )
        if self.sasl_username and not self._uses_sasl:
            variables.refuse(
                "TALLY_KAFKA_SASL_USERNAME is set but TALLY_KAFKA_SECURITY_PROTOCOL is "
                f"{self.security_protocol}: set SASL_SSL, or SASL_PLAINTEXT"
            )
        files = (self.ssl_ca_file, self.ssl_cert_file, self.ssl_key_file)
        if any(files) and not self._uses_tls:
            variables.refuse(
                "a TALLY_KAFKA_SSL_*_FILE is set but TALLY_KAFKA_SECURITY_PROTOCOL is "
                f"{self.security_protocol}: set SSL or SASL_SSL"
            )
        if self.ssl_key_file and not self.ssl_cert_file:
            variables.refuse("TALLY_KAFKA_SSL_KEY_FILE is set without TALLY_KAFKA_SSL_CERT_FILE")
        if self._uses_tls:
            try:
                self._tls_context()
            except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
                variables.refuse(f"the files of TALLY_KAFKA_SSL_* can't be used: {error}")
