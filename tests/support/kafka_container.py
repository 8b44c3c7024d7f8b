"""Kafka's own image, started by testcontainers where a Docker engine answers."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deploy.embedded.kafka.config import Node, broker_settings
from tests.support.kafka_answers import brokers_at

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

IMAGE = "apache/kafka:4.1.0"
_START_S = 120.0
_PORT = 9092
_CONTROLLER_PORT = 9093
# The address to advertise is known only once the container runs and its port is mapped, so the
# container waits for a script that holds it.
_SCRIPT = "/tmp/start-kafka.sh"
_COMMAND = f"sh -c 'while [ ! -f {_SCRIPT} ]; do sleep 0.1; done; exec sh {_SCRIPT}'"


@contextmanager
def kafka_container() -> Iterator[str]:
    """Run a broker in a container and give its address."""
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(IMAGE).with_command(_COMMAND).with_exposed_ports(_PORT)
    for name, value in container_env().items():
        container.with_env(name, value)
    with container as running:
        host, port = running.get_container_host_ip(), int(running.get_exposed_port(_PORT))
        _put(running, _SCRIPT, start_script(host, port))
        deadline = time.monotonic() + _START_S
        while not brokers_at(host, port):
            if time.monotonic() > deadline:
                texts = [part.decode(errors="replace") for part in running.get_logs()]
                raise AssertionError(f"Kafka in Docker did not start:\n{''.join(texts)}")
            time.sleep(0.1)
        yield f"{host}:{port}"


def container_env() -> dict[str, str]:
    """Give the broker's settings, which are those of any other, as the image takes them."""
    settings = broker_settings(Node(port=_PORT, voters={1: _CONTROLLER_PORT}))
    settings |= {
        "listeners": f"PLAINTEXT://0.0.0.0:{_PORT},CONTROLLER://0.0.0.0:{_CONTROLLER_PORT}",
        "log.dirs": "/tmp/kafka-data",
    }
    del settings["advertised.listeners"]
    return {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings.items()}


def start_script(host: str, port: int) -> str:
    """Give the script that starts the broker, known to clients by this address."""
    return (
        f"export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://{host}:{port}\nexec /etc/kafka/docker/run\n"
    )


def _put(container: DockerContainer, path: str, text: str) -> None:
    content = text.encode()
    directory, _, name = path.rpartition("/")
    with io.BytesIO() as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content))
        assert container.get_wrapped_container().put_archive(directory, archive.getvalue())
