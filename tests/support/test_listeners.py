"""A client with our settings gets in where it should, and is refused where it should not."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError

from deploy.embedded.kafka.config import HOST, Listener
from schemas.kafka import KafkaSettings
from tests.support.kafka import Broker, one_node
from tests.support.listeners import sasl_listener, scram_user, tls_listener
from tests.support.tls import Authority

PASSWORD = "s3cret of alice"  # with blanks: it goes through three configuration languages
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True)
class Secured:
    """A broker, its listeners by name, and whom they trust."""

    broker: Broker
    listeners: dict[str, Listener]
    authority: Authority
    stranger: Authority

    def settings(self, name: str, **options: str) -> KafkaSettings:
        listener = self.listeners[name]
        if listener.protocol.endswith("SSL"):
            options.setdefault("ssl_ca_file", str(self.authority.ca_file))
        return KafkaSettings(
            bootstrap_servers=f"{HOST}:{listener.port}",
            security_protocol=listener.protocol,
            **options,
        )


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    directory = tmp_path_factory.mktemp("secured")
    authority, stranger = Authority(directory / "ours"), Authority(directory / "theirs")
    server = authority.issue("broker")
    listeners = [
        tls_listener("TLS", server),
        tls_listener("MUTUAL", server, clients=authority),
    ]
    for mechanism in MECHANISMS:
        name = mechanism.replace("-", "")
        users = {"alice": PASSWORD} if mechanism == "PLAIN" else None
        listeners.append(sasl_listener(name, mechanism, users=users))
        listeners.append(sasl_listener(f"{name}TLS", mechanism, users=users, server=server))
    scram = [scram_user(mechanism, "alice", PASSWORD) for mechanism in MECHANISMS[1:]]
    with Broker(directory / "broker", one_node(listeners=listeners), scram=scram) as broker:
        by_name = {listener.name: listener for listener in listeners}
        yield Secured(broker, by_name, authority, stranger)


async def send(settings: KafkaSettings) -> int:
    """Make a topic and append one record to it, as these settings say; give its offset."""
    topic = f"listeners-{uuid.uuid4()}"
    admin = AIOKafkaAdminClient(**settings.client_options())
    try:
        await admin.start()
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()
    producer = AIOKafkaProducer(**settings.client_options())
    await producer.start()
    try:
        return (await producer.send_and_wait(topic, b"value")).offset
    finally:
        await producer.stop()


async def test_tls_accepts_whoever_trusts_the_authority(secured: Secured) -> None:
    """A client with the authority's file sends over TLS."""
    assert await send(secured.settings("TLS")) == 0


async def test_tls_refuses_a_server_of_another_authority(secured: Secured) -> None:
    """A client that trusts another authority does not speak to the broker."""
    with pytest.raises(KafkaConnectionError):
        await send(secured.settings("TLS", ssl_ca_file=str(secured.stranger.ca_file)))


async def test_tls_is_not_spoken_to_in_plaintext(secured: Secured) -> None:
    """A client without TLS gets nothing from a listener with it."""
    port = secured.listeners["TLS"].port
    with pytest.raises(KafkaConnectionError):
        await send(KafkaSettings(bootstrap_servers=f"{HOST}:{port}"))


@pytest.mark.parametrize("password", ["", "of the key"])
async def test_client_certificate_is_accepted(secured: Secured, password: str) -> None:
    """A client shows the certificate it has, and its key may be encrypted."""
    mine = secured.authority.issue(f"client{len(password)}", password=password)
    settings = secured.settings(
        "MUTUAL",
        ssl_cert_file=str(mine.cert_file),
        ssl_key_file=str(mine.key_file),
        ssl_key_password=password,
    )
    assert await send(settings) == 0


async def test_client_certificate_of_a_stranger_is_refused(secured: Secured) -> None:
    """A certificate that another authority signed opens nothing."""
    theirs = secured.stranger.issue("client")
    settings = secured.settings(
        "MUTUAL", ssl_cert_file=str(theirs.cert_file), ssl_key_file=str(theirs.key_file)
    )
    with pytest.raises(KafkaConnectionError):
        await send(settings)


async def test_no_client_certificate_is_refused(secured: Secured) -> None:
    """Without a certificate of its own a client gets nothing where one is asked for."""
    with pytest.raises(KafkaConnectionError):
        await send(secured.settings("MUTUAL"))


@pytest.mark.parametrize("over", ["", "TLS"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_user_is_let_in_by_password(secured: Secured, mechanism: str, over: str) -> None:
    """The right password opens, with each mechanism, with TLS and without."""
    name = mechanism.replace("-", "") + over
    user = {"sasl_mechanism": mechanism, "sasl_username": "alice"}
    assert await send(secured.settings(name, **user, sasl_password=PASSWORD)) == 0


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_wrong_password_is_refused(secured: Secured, mechanism: str) -> None:
    """A wrong password opens nothing."""
    name = mechanism.replace("-", "")
    user = {"sasl_mechanism": mechanism, "sasl_username": "alice"}
    with pytest.raises(KafkaConnectionError):
        await send(secured.settings(name, **user, sasl_password="wrong"))
