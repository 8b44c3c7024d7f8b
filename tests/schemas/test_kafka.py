"""The settings of Kafka, and what its client makes of them."""

from __future__ import annotations

import pytest

from schemas.kafka import KafkaSettings

pytestmark = pytest.mark.unit

SERVERS = {"TALLY_KAFKA_BOOTSTRAP_SERVERS": "a:9092, b:9093"}


def test_an_address_is_enough() -> None:
    """Without users and TLS, topics and group are called after the default prefix."""
    settings = KafkaSettings.from_env(SERVERS)
    assert settings.client_options()["bootstrap_servers"] == ["a:9092", "b:9093"]
    assert "ssl_context" not in settings.client_options()
    assert (settings.events_topic, settings.dead_letters_topic, settings.keys_topic) == (
        "tally.events",
        "tally.dead-letters",
        "tally.keys",
    )
    assert settings.group == "tally"


def test_two_pipelines_share_a_cluster() -> None:
    """The prefix is in every topic's name and in the group's."""
    settings = KafkaSettings.from_env({**SERVERS, "TALLY_KAFKA_TOPIC_PREFIX": "staging"})
    assert settings.events_topic == "staging.events"
    assert settings.group == "staging"


def test_a_user_and_a_password() -> None:
    """SASL settings reach the client, SCRAM as well as PLAIN."""
    settings = KafkaSettings.from_env(
        {
            **SERVERS,
            "TALLY_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "TALLY_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "TALLY_KAFKA_SASL_USERNAME": "gateway",
            "TALLY_KAFKA_SASL_PASSWORD": "s3cret",
        }
    )
    options = settings.client_options()
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["sasl_plain_username"] == "gateway"
    assert options["sasl_plain_password"] == "s3cret"
    assert options["ssl_context"].check_hostname


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({}, "BOOTSTRAP_SERVERS must be set"),
        ({"TALLY_KAFKA_BOOTSTRAP_SERVERS": "kafka"}, "must look like host:port"),
        ({**SERVERS, "TALLY_KAFKA_TOPIC_PREFIX": "a b"}, "TOPIC_PREFIX"),
        ({**SERVERS, "TALLY_KAFKA_SECURITY_PROTOCOL": "TLS"}, "SECURITY_PROTOCOL='TLS' must be"),
        ({**SERVERS, "TALLY_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "needs .*SASL_USERNAME"),
        ({**SERVERS, "TALLY_KAFKA_SASL_USERNAME": "x"}, "SECURITY_PROTOCOL is PLAINTEXT"),
        ({**SERVERS, "TALLY_KAFKA_SASL_MECHANISM": "GSSAPI"}, "SASL_MECHANISM"),
        ({**SERVERS, "TALLY_KAFKA_SSL_CA_FILE": "/none.pem"}, "SSL_CA_FILE='/none.pem' is no file"),
        ({**SERVERS, "TALLY_KAFKA_SSL_CA_FILE": __file__}, "SECURITY_PROTOCOL is PLAINTEXT"),
        (
            {
                **SERVERS,
                "TALLY_KAFKA_SECURITY_PROTOCOL": "SSL",
                "TALLY_KAFKA_SSL_CA_FILE": __file__,
            },
            "SSL_\\* can't be used",
        ),
    ],
)
def test_a_mistake_names_its_variable(env: dict[str, str], message: str) -> None:
    """Each mistake is told at start, with the variable to change."""
    with pytest.raises(ValueError, match=message):
        KafkaSettings.from_env(env)
