"""What a broker is told: one place for the tests' brokers and for a person's."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from deploy.embedded.kafka.config import (
    Listener,
    Node,
    broker_command,
    broker_settings,
    format_command,
    new_cluster_id,
    server_properties,
)
from deploy.embedded.kafka.jars import POM
from tests.support.kafka import POM as TESTS_POM
from tests.support.kafka_container import container_env, start_script

pytestmark = pytest.mark.unit

LONE = Node(port=9092, voters={1: 9093})


def test_tests_run_the_kafka_that_is_shipped() -> None:
    """Both poms are the same bytes, so both are the same jars."""
    assert POM.read_bytes() == TESTS_POM.read_bytes()


def test_lone_broker_is_on_loopback_only() -> None:
    """Nobody else on the network reaches it: it asks for no password."""
    settings = broker_settings(LONE)
    assert settings["listeners"] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"
    assert settings["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9092"


def test_lone_broker_makes_no_topic_unasked_and_keeps_one_replica() -> None:
    """A topic that nobody made is an error, and internal ones need no second broker."""
    settings = broker_settings(LONE)
    assert settings["auto.create.topics.enable"] == "false"
    assert settings["offsets.topic.replication.factor"] == "1"
    assert settings["group.initial.rebalance.delay.ms"] == "0"


def test_brokers_of_a_cluster_know_one_another() -> None:
    """Each names the controllers of all, itself among them, and internal topics have replicas."""
    settings = broker_settings(Node(port=1, voters={1: 11, 2: 12, 3: 13, 4: 14}, node_id=2))
    voters = "1@127.0.0.1:11,2@127.0.0.1:12,3@127.0.0.1:13,4@127.0.0.1:14"
    assert settings["controller.quorum.voters"] == voters
    assert settings["node.id"] == "2"
    assert "CONTROLLER://127.0.0.1:12" in settings["listeners"]
    assert settings["offsets.topic.replication.factor"] == "3"


def test_listener_is_told_apart_by_its_prefix() -> None:
    """A further listener is advertised, and its settings count for it alone."""
    listener = Listener(name="CLIENT", port=7, protocol="SSL", properties={"ssl.client.auth": "x"})
    settings = broker_settings(Node(port=1, voters={1: 2}, listeners=[listener]))
    assert settings["advertised.listeners"].endswith(",CLIENT://127.0.0.1:7")
    assert "CLIENT:SSL" in settings["listener.security.protocol.map"].split(",")
    assert settings["listener.name.client.ssl.client.auth"] == "x"


def test_given_properties_stand_over_ours() -> None:
    """A test may change any setting."""
    node = Node(port=1, voters={1: 2}, properties={"auto.create.topics.enable": "true"})
    assert broker_settings(node)["auto.create.topics.enable"] == "true"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a=b c", "a=b c"),
        ("back\\slash", "back\\\\slash"),
        ("two\nlines", "two\\nlines"),
        (" first blank", "\\ first blank"),
        ("é", "\\u00e9"),
        ("😀", "\\ud83d\\ude00"),
    ],
)
def test_value_is_written_as_java_reads_it(value: str, written: str) -> None:
    """Java reads escapes and Latin-1, and takes leading blanks away."""
    text = server_properties(Node(port=1, voters={1: 2}, properties={"x": value}))
    assert text.endswith(f"\nx={written}\n")


def test_no_path_is_in_the_settings() -> None:
    """A broker runs in its directory, so one with a comma in its name is no list of two."""
    assert broker_settings(LONE)["log.dirs"] == "data"


def test_cluster_ids_are_kafkas_and_differ() -> None:
    """An ID is 16 bytes in base64 for URLs, and no option: it begins with a letter."""
    made = {new_cluster_id() for _ in range(50)}
    assert len(made) == 50
    assert all(len(base64.urlsafe_b64decode(f"{one}==")) == 16 for one in made)
    assert all(one[0].isalpha() for one in made)


def test_commands_take_every_jar_and_little_memory() -> None:
    """The class path is the directory of the jars; the heap is small."""
    command = broker_command("/usr/bin/java", Path("/cache/jars"), jvm=["-Da=b"])
    assert command[0] == "/usr/bin/java"
    assert command[command.index("-cp") + 1] == "/cache/jars/*"
    assert "-Xmx512m" in command
    assert "-Da=b" in command
    assert command[-2:] == ["kafka.Kafka", "server.properties"]


def test_format_command_adds_each_user() -> None:
    """SCRAM's users are made when the directory is formatted."""
    users = ["SCRAM-SHA-256=[name=a,password=b]", "SCRAM-SHA-512=[name=a,password=b]"]
    command = format_command("java", Path("/jars"), cluster_id="T", scram=users)
    assert [command[at + 1] for at, word in enumerate(command) if word == "--add-scram"] == users


def test_container_has_the_same_settings() -> None:
    """A broker in a container differs in nothing but where it listens and keeps its data."""
    env = container_env()
    assert env["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert env["KAFKA_LISTENERS"].startswith("PLAINTEXT://0.0.0.0:9092,")
    assert "KAFKA_ADVERTISED_LISTENERS" not in env
    assert "PLAINTEXT://docker.example:3456\n" in start_script("docker.example", 3456)
