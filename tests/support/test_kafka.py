"""The brokers that tests start: real ones, that lose nothing and come back as they were."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.embedded.kafka.config import HOST
from deploy.embedded.kafka.errors import CannotStartError
from tests.support.kafka import Broker, Kafka, cluster, kafka, one_node
from tests.support.kafka_answers import brokers_at
from tests.support.stack import wait_until

pytestmark = pytest.mark.usefixtures("jars")

ROOT = Path(__file__).parents[2]
STOPPED_BY_SIGTERM = 143  # what Java gives after an orderly end


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker") as started:
        yield started


@asynccontextmanager
async def admin_of(servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def make_topic(servers: str, *, replicas: int = 1) -> str:
    """Make a topic of one partition that takes a record only if two replicas have it, if it can."""
    topic = f"support-{uuid.uuid4()}"
    settings = {"min.insync.replicas": str(min(replicas, 2))}
    new = NewTopic(topic, num_partitions=1, replication_factor=replicas, topic_configs=settings)
    async with admin_of(servers) as admin:
        made = await admin.create_topics([new])
        assert all(code == 0 for _, code, *_ in made.topic_errors), made
    return topic


async def leader_of(servers: str, topic: str) -> tuple[int, list[int]]:
    """The node that leads the topic's partition, and those that are in sync."""
    async with admin_of(servers) as admin:
        (described,) = await admin.describe_topics([topic])
    (partition,) = described["partitions"]
    return partition["leader"], sorted(partition["isr"])


async def until_in_sync(servers: str, topic: str, nodes: list[int]) -> None:
    """Wait until exactly these replicas of the topic's partition are in sync."""
    async with asyncio.timeout(40):
        while (await leader_of(servers, topic))[1] != nodes:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.2)


@asynccontextmanager
async def producer_to(servers: str) -> AsyncIterator[AIOKafkaProducer]:
    client = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


async def values(servers: str, topic: str, count: int) -> list[bytes | None]:
    """The first ``count`` values of the topic's only partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        async with asyncio.timeout(30):
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def test_shared_kafka_takes_and_gives_records(kafka: Kafka) -> None:
    """The session's Kafka keeps what was sent to a topic that a test made."""
    topic = await make_topic(kafka.bootstrap_servers)
    async with producer_to(kafka.bootstrap_servers) as client:
        await client.send_and_wait(topic, b"one")
    assert await values(kafka.bootstrap_servers, topic, 1) == [b"one"]


async def test_shared_kafka_makes_no_topic_unasked(kafka: Kafka) -> None:
    """A topic that was only asked about is not there afterwards."""
    topic = f"unasked-{uuid.uuid4()}"
    async with admin_of(kafka.bootstrap_servers) as admin:
        await admin.describe_topics([topic])
        assert topic not in await admin.list_topics()


def test_given_address_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TALLY_TEST_KAFKA names a Kafka, and then none is started."""
    monkeypatch.setenv("TALLY_TEST_KAFKA", "kafka.example:9092")
    with kafka(tmp_path / "broker") as given:
        assert given.bootstrap_servers == "kafka.example:9092"
    assert not (tmp_path / "broker").exists()


async def test_acknowledged_record_survives_sigkill(broker: Broker) -> None:
    """What was acknowledged is there after SIGKILL, at the same address."""
    address = broker.bootstrap_servers
    topic = await make_topic(address)
    async with producer_to(address) as client:
        for number in range(100):
            await client.send_and_wait(topic, b"%d" % number)
    broker.kill()
    broker.start()
    assert broker.bootstrap_servers == address
    assert await values(address, topic, 100) == [b"%d" % number for number in range(100)]


async def test_stop_is_orderly_and_start_finds_everything(broker: Broker) -> None:
    """SIGTERM ends it in order; the topic and its record are there after the next start."""
    topic = await make_topic(broker.bootstrap_servers)
    async with producer_to(broker.bootstrap_servers) as client:
        await client.send_and_wait(topic, b"kept")
    assert broker.stop() == STOPPED_BY_SIGTERM
    assert (broker.directory / "data" / ".kafka_cleanshutdown").exists()
    broker.start()
    assert await values(broker.bootstrap_servers, topic, 1) == [b"kept"]


async def test_frozen_broker_answers_nothing_until_it_is_thawed(broker: Broker) -> None:
    """What was sent to a frozen broker waits, and is acknowledged once it goes on."""
    topic = await make_topic(broker.bootstrap_servers)
    async with producer_to(broker.bootstrap_servers) as client:
        await client.send_and_wait(topic, b"before")
        broker.freeze()
        sending = asyncio.create_task(client.send_and_wait(topic, b"meanwhile"))
        done, _ = await asyncio.wait({sending}, timeout=1)
        assert not done
        broker.thaw()
        async with asyncio.timeout(30):
            assert (await sending).offset == 1


def test_output_tells_that_it_started(broker: Broker) -> None:
    """A test that fails can print what its broker said."""
    assert "Kafka Server started" in broker.output()


def test_broker_that_ends_at_start_fails_with_its_log(tmp_path: Path) -> None:
    """A broker that can't have one of its ports fails at once, and the failure tells why."""
    node = one_node()
    with (
        socket.create_server((HOST, node.voters[1])),
        pytest.raises(AssertionError, match="Address already in use"),
        Broker(tmp_path / "broker", node),
    ):
        pass


def test_another_broker_is_not_taken_for_the_one_started(broker: Broker, tmp_path: Path) -> None:
    """A second broker on the port of the first is refused, though that port answers."""
    with pytest.raises(CannotStartError, match=f"port {broker.node.port} .* in use"):
        Broker(tmp_path / "second", broker.node).start()


def test_broker_dies_with_the_test_process(tmp_path: Path) -> None:
    """SIGKILL of whoever started a broker leaves none behind."""
    script = f"""
import os, pathlib, signal
from tests.support.kafka import Broker
broker = Broker(pathlib.Path({str(tmp_path)!r}) / "broker")
broker.start()
print(broker.node.port, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    wait_until(lambda: not brokers_at(HOST, int(done.stdout)), within_s=5, what="Kafka dies")


def test_broker_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    """A test may start a broker from a thread that ends; the broker goes on."""
    broker = Broker(tmp_path / "broker")
    thread = threading.Thread(target=broker.start)
    thread.start()
    thread.join()
    try:
        assert broker.process is not None
        with pytest.raises(subprocess.TimeoutExpired):
            broker.process.wait(0.5)
    finally:
        broker.end()


async def test_cluster_elects_another_leader(tmp_path: Path) -> None:
    """When the leader is killed another takes over with every acknowledged record, and the one
    that was lost catches up when it comes back.
    """
    with cluster(tmp_path) as members:
        servers = ",".join(member.bootstrap_servers for member in members)
        topic = await make_topic(servers, replicas=3)
        async with producer_to(servers) as client:
            await client.send_and_wait(topic, b"before")
            await until_in_sync(servers, topic, [1, 2, 3])
            leader, _ = await leader_of(servers, topic)
            members[leader - 1].kill()
            async with asyncio.timeout(40):
                await client.send_and_wait(topic, b"after")
        rest = ",".join(m.bootstrap_servers for m in members if m.node.node_id != leader)
        assert await values(rest, topic, 2) == [b"before", b"after"]
        await until_in_sync(rest, topic, sorted({1, 2, 3} - {leader}))
        assert (await leader_of(rest, topic))[0] != leader
        members[leader - 1].start()
        await until_in_sync(rest, topic, [1, 2, 3])
