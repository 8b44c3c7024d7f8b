"""How a broker is configured, formatted and started: text and command lines, nothing run.

Every command is meant to run in the broker's directory, so that no path stands in any file: a
comma in one would split ``log.dirs``, and Java reads properties as Latin-1.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
# Inside a broker's directory.
DATA: Final = "data"
FORMATTED: Final = f"{DATA}/meta.properties"  # the format step writes it last
SERVER_PROPERTIES: Final = "server.properties"
LOG_PROPERTIES: Final = "log4j2.properties"
LOG: Final = "broker.log"
OUTPUT: Final = "java.log"  # what the Java process itself prints: next to nothing

_HEAP: Final = "-Xmx512m"
_LOG_MIB: Final = 10
_BROKER: Final = "kafka.Kafka"
_STORAGE_TOOL: Final = "kafka.tools.StorageTool"
# How long a broker that went without a word counts as there. A lone broker waits that long when it
# comes back after SIGKILL, since the controller, which is itself, takes it for a second one; nobody
# could take over from it, so noticing late would gain nothing.
_LONE_SESSION: Final = {"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "500"}
_INTERNAL: Final = "PLAINTEXT"
_CONTROLLER: Final = "CONTROLLER"


@dataclass(frozen=True, kw_only=True)
class Listener:
    """One more address for clients.

    ``name`` is in upper case and unique, ``protocol`` one of Kafka's (``SASL_SSL``);
    ``properties`` are Kafka's settings of a listener, without the prefix ``listener.name.x.``.
    """

    name: str
    port: int
    protocol: str
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Node:
    """One broker that is a controller too, all of it on loopback.

    ``port`` speaks PLAINTEXT, to clients and to the other brokers. ``voters`` are the controller
    ports of all nodes of the cluster by node ID, its own included. ``properties`` are settings of
    Kafka that stand over those made here.
    """

    port: int
    voters: Mapping[int, int]
    node_id: int = 1
    listeners: Sequence[Listener] = ()
    properties: Mapping[str, str] = field(default_factory=dict)


def server_properties(node: Node) -> str:
    """Give the text of ``server.properties``."""
    settings = broker_settings(node)
    return "".join(f"{name}={_escaped(value)}\n" for name, value in settings.items())


def broker_settings(node: Node) -> dict[str, str]:
    """Give Kafka's settings for it, by their names."""
    replicas = str(min(len(node.voters), 3))
    clients = [Listener(name=_INTERNAL, port=node.port, protocol="PLAINTEXT"), *node.listeners]
    controller = Listener(name=_CONTROLLER, port=node.voters[node.node_id], protocol="PLAINTEXT")
    settings = {
        "process.roles": "broker,controller",
        "node.id": str(node.node_id),
        "controller.quorum.voters": ",".join(
            f"{node_id}@{HOST}:{port}" for node_id, port in sorted(node.voters.items())
        ),
        "listeners": _addresses([*clients, controller]),
        "advertised.listeners": _addresses(clients),
        "listener.security.protocol.map": ",".join(
            f"{listener.name}:{listener.protocol}" for listener in [*clients, controller]
        ),
        "controller.listener.names": _CONTROLLER,
        "inter.broker.listener.name": _INTERNAL,
        "log.dirs": DATA,
        # A topic that nobody made on purpose would have the wrong settings.
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": "1",
        # One group or two: more partitions would only be made slowly at the first commit.
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
    }
    if len(node.voters) == 1:
        settings |= _LONE_SESSION
    for listener in node.listeners:
        prefix = f"listener.name.{listener.name.lower()}."
        settings |= {prefix + name: value for name, value in listener.properties.items()}
    return {**settings, **node.properties}


def log_properties() -> str:
    """Give the text of ``log4j2.properties``: all to one file, which is kept small."""
    return f"""\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {LOG}
appender.file.filePattern = {LOG}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %m (%c)%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = {_LOG_MIB}MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 1
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""


def new_cluster_id() -> str:
    """Give an ID for a cluster: 22 characters of base64, the first no dash."""
    return "T" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]


def format_command(
    java: str, jars: Path, *, cluster_id: str, scram: Sequence[str] = ()
) -> list[str]:
    """Give the command that prepares an empty directory; all nodes of a cluster share its ID.

    ``scram`` are users as Kafka writes them: ``SCRAM-SHA-256=[name=a,password=b]``.
    """
    return [
        *_java(java, jars),
        *(_STORAGE_TOOL, "format", "--ignore-formatted"),
        *("--cluster-id", cluster_id, "--config", SERVER_PROPERTIES),
        *(part for user in scram for part in ("--add-scram", user)),
    ]


def broker_command(java: str, jars: Path, *, jvm: Sequence[str] = ()) -> list[str]:
    """Give the command that runs the broker; ``jvm`` are further options of Java."""
    return [*_java(java, jars, *jvm), _BROKER, SERVER_PROPERTIES]


def _java(java: str, jars: Path, *options: str) -> list[str]:
    return [
        java,
        _HEAP,
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={LOG_PROPERTIES}",
        *options,
        *("-cp", str(jars.resolve() / "*")),
    ]


def _addresses(listeners: Sequence[Listener]) -> str:
    return ",".join(f"{listener.name}://{HOST}:{listener.port}" for listener in listeners)


def _escaped(value: str) -> str:
    """Write a value as Java reads it: in one line of ASCII."""
    text = value.replace("\\", "\\\\").replace("\n", "\\n")
    text = "".join(char if " " <= char <= "~" else _utf16(char) for char in text)
    return f"\\{text}" if text.startswith(" ") else text


def _utf16(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
