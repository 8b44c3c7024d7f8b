"""The three services over a real Kafka and a real ClickHouse, each a process of its own.

The way production runs them: many consumers, topics made by `tally topics apply`, settings from
the environment. For tests of failures, which kill and freeze them.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from deploy.clickhouse.store import connect, migrate
from deploy.topics.plan import Wanted
from deploy.topics.topics import apply
from schemas.clickhouse import ClickHouseSettings
from schemas.kafka import KafkaSettings
from schemas.keys import NewKey, encode_key, make_key
from tests.support.clickhouse import free_port
from tests.support.stack import wait_until

_ROOT = Path(__file__).resolve().parents[2]
_STOP_S = 30.0


class Service:
    """One process: ``python -m MODULE``; its output goes to ``log``."""

    def __init__(self, module: str, env: dict[str, str], log: Path) -> None:
        self.module = module
        self.env = env
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, without waiting for anything."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                cwd=_ROOT,
                env=self.env,
                stdout=log,
                stderr=log,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM; wait, and give its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(_STOP_S)

    def kill(self) -> None:
        """SIGKILL, in whatever state it is."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process is not None and self.process.poll() is None

    def output(self) -> str:
        """Everything it printed."""
        return self.log.read_text() if self.log.exists() else ""

    def peak_memory_bytes(self) -> int:
        """The most memory it ever had in RAM (Linux: VmHWM)."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the kernel does not tell VmHWM")


class Services:
    """A gateway, a query service, and as many consumers as a test asks for."""

    def __init__(self, directory: Path, bootstrap_servers: str, clickhouse_url: str) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        prefix = f"test-{uuid.uuid4().hex[:12]}"
        self.kafka = KafkaSettings(bootstrap_servers=bootstrap_servers, topic_prefix=prefix)
        self.clickhouse = ClickHouseSettings(url=clickhouse_url)
        self.key: NewKey = make_key(prefix, "test")
        self.env = {
            **os.environ,
            "TALLY_KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
            "TALLY_KAFKA_TOPIC_PREFIX": prefix,
            "TALLY_CLICKHOUSE_URL": clickhouse_url,
            "TALLY_GATEWAY_PORT": str(free_port()),
            "TALLY_QUERY_PORT": str(free_port()),
        }
        self.gateway = Service("ingest_gateway", self.env, directory / "gateway.log")
        self.query = Service("query_api", self.env, directory / "query.log")
        self.consumers: list[Service] = []

    @property
    def tenant(self) -> str:
        """Whose key `key` is."""
        return self.key.record.tenant

    @property
    def gateway_url(self) -> str:
        """Where events go in."""
        return f"http://127.0.0.1:{self.env['TALLY_GATEWAY_PORT']}"

    @property
    def query_url(self) -> str:
        """Where events are read."""
        return f"http://127.0.0.1:{self.env['TALLY_QUERY_PORT']}"

    def prepare(self, *, partitions: int = 4, **wanted: Any) -> None:
        """Make topics, tables and a key."""

        async def work() -> None:
            await apply(self.kafka, Wanted(partitions=partitions, **wanted))
            client = await connect(self.clickhouse, wait_s=30)
            await migrate(client)
            await client.close()
            async with AIOKafkaProducer(**self.kafka.client_options(), acks="all") as producer:
                record = self.key.record
                await producer.send_and_wait(
                    self.kafka.keys_topic, encode_key(record), key=record.key_id.encode()
                )

        run(work)

    def add_consumer(self, **settings: str) -> Service:
        """Start one more consumer, with settings of its own."""
        name = f"consumer-{len(self.consumers)}"
        env = {**self.env, **settings}
        service = Service("consumer", env, self.directory / f"{name}.log")
        self.consumers.append(service)
        service.start()
        return service

    def wait_until_reading(self, service: Service, times: int = 1) -> None:
        """Wait until a consumer has been given partitions, if only none, so many times."""
        wait_until(
            lambda: times_reading(service) >= times,
            within_s=60,
            what=f"partitions\n{service.output()}",
        )

    def wait_until_shared_anew(self, among: Sequence[Service], change: Callable[[], None]) -> None:
        """Make a change to the group, and wait until each of these has new partitions."""
        before = {service: times_reading(service) for service in among}
        change()
        for service, times in before.items():
            self.wait_until_reading(service, times + 1)

    def start(self, *, consumers: int = 1) -> None:
        """Start everything and wait until events can be sent and read."""
        self.gateway.start()
        self.query.start()
        for _ in range(consumers):
            self.add_consumer()
        for service, url in ((self.gateway, self.gateway_url), (self.query, self.query_url)):
            wait_until(
                lambda url=url: self.get_status(f"{url}/readyz") == 200,
                within_s=60,
                what=f"{service.module} ready\n{service.output()}",
            )

    def get_status(self, url: str) -> int:
        """The status of a GET, 0 if nobody answers."""
        try:
            with urlopen(url, timeout=10) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code
        except (URLError, OSError):
            return 0

    def send(self, events: list[dict[str, Any]], *, timeout_s: float = 15) -> tuple[int, Any]:
        """Send a bulk; give status and body, (0, None) if there was no answer."""
        request = Request(
            f"{self.gateway_url}/v1/events/bulk",
            data=json.dumps({"events": events}).encode(),
            headers={"x-api-key": self.key.api_key, "Content-Type": "application/json"},
        )
        try:
            with urlopen(request, timeout=timeout_s) as answer:
                return int(answer.status), json.load(answer)
        except HTTPError as error:
            return error.code, json.load(error)
        except (URLError, OSError):
            return 0, None

    def lag(self) -> int:
        """How many records of the events' topic no consumer has committed, asked of Kafka."""
        return run(self._lag)

    def wait_until_stored(self, within_s: float = 120.0) -> None:
        """Wait until everything in the log has been stored and committed."""
        try:
            wait_until(lambda: self.lag() == 0, within_s=within_s, what="no lag")
        except AssertionError as error:
            said = "\n".join(one.output()[-3_000:] for one in self.consumers)
            raise AssertionError(f"{error}\n{said}") from None

    def end(self) -> None:
        """End every process at once."""
        for service in (self.gateway, self.query, *self.consumers):
            if service.runs():
                service.kill()

    async def _lag(self) -> int:
        from aiokafka import AIOKafkaConsumer

        options = self.kafka.client_options()
        topic = self.kafka.events_topic
        admin = AIOKafkaAdminClient(**options)
        await admin.start()
        try:
            commits = await admin.list_consumer_group_offsets(self.kafka.group)
        except GroupCoordinatorNotAvailableError:
            commits = {}  # before the first group ever
        finally:
            await admin.close()
        async with AIOKafkaConsumer(topic, **options) as consumer:
            parts = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or ()]
            ends = await consumer.end_offsets(parts)
        committed = {one: max(0, commits[one].offset) for one in parts if one in commits}
        return sum(end - committed.get(one, 0) for one, end in ends.items())


def times_reading(service: Service) -> int:
    """How often a consumer was given partitions, as it says."""
    return service.output().count("reading partitions")


@contextmanager
def services(
    directory: Path, bootstrap_servers: str, clickhouse_url: str, **prepared: Any
) -> Iterator[Services]:
    """Give services whose topics and tables are made and of which none is started."""
    made = Services(directory, bootstrap_servers, clickhouse_url)
    try:
        made.prepare(**prepared)
        yield made
    finally:
        made.end()


def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine from code that may itself be called inside a loop."""
    answers: list[Any] = []
    errors: list[BaseException] = []

    def in_thread() -> None:
        try:
            answers.append(asyncio.run(work()))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return answers[0]
