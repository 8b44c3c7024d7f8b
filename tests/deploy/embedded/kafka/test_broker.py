"""The broker as a supervisor holds it: started, left, told of its end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from deploy.embedded.kafka.broker import LocalBroker
from deploy.embedded.kafka.config import HOST
from deploy.embedded.kafka.errors import CannotStartError
from deploy.embedded.kafka.settings import jar_cache
from tests.support.kafka_answers import brokers_at
from tests.support.stack import wait_until

pytestmark = pytest.mark.usefixtures("jars")


def broker_on(directory: Path, port: int | None = None) -> LocalBroker:
    return LocalBroker(directory, cache=jar_cache(os.environ), port=port)


def port_of(broker: LocalBroker) -> int:
    host, _, port = broker.bootstrap_servers.partition(":")
    assert host == HOST
    return int(port)


@asynccontextmanager
async def started(broker: LocalBroker) -> AsyncIterator[LocalBroker]:
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop(10)


def spoil(directory: Path) -> None:
    """Make the data those of another node, which Kafka refuses."""
    facts = directory / "data" / "meta.properties"
    facts.write_text(facts.read_text().replace("node.id=1", "node.id=2"))


async def test_broker_starts_on_a_free_port_and_stops_twice(tmp_path: Path) -> None:
    """Without a port it finds one; it answers there until it is stopped, which may be repeated."""
    broker = broker_on(tmp_path / "kafka")
    async with started(broker):
        assert brokers_at(HOST, port_of(broker)) == {1}
    assert not brokers_at(HOST, port_of(broker))
    assert await broker.wait() == 143  # what Java gives after an orderly end
    await broker.stop(1)


async def test_same_broker_can_be_started_again(tmp_path: Path) -> None:
    """After a stop it starts on its directory and its port as before."""
    broker = broker_on(tmp_path / "kafka")
    for _ in range(2):
        async with started(broker):
            assert brokers_at(HOST, port_of(broker)) == {1}


def programs_in(directory: Path) -> list[Path]:
    """The processes that stand in a directory: the broker's Java does."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if link.readlink() == directory:
                found.append(link)
    return found


async def test_left_start_leaves_nothing_running(tmp_path: Path) -> None:
    """Cancelled while Java starts, it ends Java, and the directory is free."""
    broker = broker_on(tmp_path / "kafka")
    starting = asyncio.create_task(broker.start())
    await asyncio.to_thread(wait_until, lambda: programs_in(tmp_path / "kafka"), what="Java runs")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert programs_in(tmp_path / "kafka") == []
    async with started(broker_on(tmp_path / "kafka", port_of(broker))):
        pass


async def test_end_at_start_is_told_with_kafkas_own_reason(tmp_path: Path) -> None:
    """Data that Kafka refuses are one line that says why and where more stands."""
    async with started(broker_on(tmp_path / "kafka")):
        pass
    spoil(tmp_path / "kafka")
    broker = broker_on(tmp_path / "kafka")
    with pytest.raises(CannotStartError) as failure:
        await broker.start()
    text = str(failure.value)
    assert text.startswith("Kafka ended with status 1: RuntimeException: Stored node id 2 doesn't")
    assert text.endswith(f"(see {tmp_path / 'kafka' / 'broker.log'})")
    assert "\n" not in text


async def test_past_end_is_not_told_again(tmp_path: Path) -> None:
    """The reason for an end is looked for in what this start wrote, not an earlier one."""
    directory = tmp_path / "kafka"
    async with started(broker_on(directory)):
        pass
    with (directory / "broker.log").open("a") as log:
        log.write("java.lang.RuntimeException: long ago\n")
    async with started(broker_on(directory)) as broker:
        assert "long ago" not in broker.why_it_ended()


async def test_directory_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    """A file in the directory's place is named."""
    (tmp_path / "kafka").write_text("a file")
    with pytest.raises(CannotStartError, match="can't be used: File exists"):
        await broker_on(tmp_path / "kafka").start()


@pytest.mark.parametrize("port", [0, 70_000])
async def test_port_out_of_range_is_told(tmp_path: Path, port: int) -> None:
    """A number that is no port is told, before Java is started."""
    with pytest.raises(CannotStartError, match=f"port {port} for Kafka must be 1 to 65535"):
        await broker_on(tmp_path / "kafka", port=port).start()
    assert not (tmp_path / "kafka" / "java.log").exists()
