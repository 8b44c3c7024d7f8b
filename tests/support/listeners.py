"""Addresses of a broker that ask for TLS, for a certificate, or for a user and a password."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.embedded.kafka.config import Listener
from tests.support.clickhouse import free_port
from tests.support.tls import Authority, Certificate

_MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}


def tls_listener(name: str, server: Certificate, *, clients: Authority | None = None) -> Listener:
    """Speak TLS; with ``clients``, only to those that show a certificate of that authority."""
    return Listener(name=name, port=free_port(), protocol="SSL", properties=_tls(server, clients))


def sasl_listener(
    name: str,
    mechanism: str,
    *,
    users: Mapping[str, str] | None = None,
    server: Certificate | None = None,
) -> Listener:
    """Ask for a user by one mechanism, over TLS if there is a ``server`` certificate.

    ``users`` are passwords by name, for PLAIN; SCRAM's are made when the broker's directory is
    formatted, see `scram_user`.
    """
    accounts = "".join(f' user_{user}="{password}"' for user, password in (users or {}).items())
    return Listener(
        name=name,
        port=free_port(),
        protocol="SASL_SSL" if server else "SASL_PLAINTEXT",
        properties={
            "sasl.enabled.mechanisms": mechanism,
            f"{mechanism.lower()}.sasl.jaas.config": f"{_MODULES[mechanism]} required{accounts};",
            **(_tls(server, None) if server else {}),
        },
    )


def scram_user(mechanism: str, user: str, password: str) -> str:
    """Give what ``Broker(..., scram=[...])`` takes for one user of one mechanism."""
    return f"{mechanism}=[name={user},password={password}]"


def _tls(server: Certificate, clients: Authority | None) -> dict[str, str]:
    properties = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(server.as_one_file()),
    }
    if clients is not None:
        properties |= {
            "ssl.client.auth": "required",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(clients.ca_file),
        }
    return properties
