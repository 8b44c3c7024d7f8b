"""The processes of the embedded stack: started, made to know one another, stopped in order."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from deploy.clickhouse.store import connect, migrate
from deploy.client import CLIENT_FILE
from deploy.embedded.client_file import credentials, write_client_file
from deploy.embedded.errors import CannotStart
from deploy.embedded.log_choice import LogChoice, check_choice, keep_choice
from deploy.embedded.process import ChildProcess
from deploy.embedded.served_log import (
    ServedLog,
    embedded_log,
    kafka_log,
    prepare_broker,
    without_kafka,
)
from deploy.embedded.waiting import free_port, wait_for_port, wait_for_queries
from deploy.settings import UpSettings
from deploy.topics.topics import cluster_id
from schemas.clickhouse import ClickHouseSettings
from schemas.kafka import KafkaSettings

_log = logging.getLogger(__name__)

_READY_WITHIN_S: Final = 60.0
_BROKER_READY_WITHIN_S: Final = 60.0  # besides
# 15 s in all: first nothing more comes in, then what is held is stored, then the stores close,
# both at once, since neither needs the other.
_STOP_ORDER: Final = (("api",), ("consumer",), ("kafka", "clickhouse"))
_STOP_S: Final = {"api": 4.5, "consumer": 4.5, "kafka": 5.5, "clickhouse": 5.5}
_CONSUMER_DRAIN_S: Final = "4"


class Stack:
    """ClickHouse, the API (gateway and query service), the consumer, and where the log is in a
    Kafka of the stack's own, a broker.
    """

    def __init__(self, settings: UpSettings, env: Mapping[str, str]) -> None:
        self._settings = settings
        self._env = env
        self._children: dict[str, ChildProcess] = {}
        # Never written to: it closes when this process ends, and the children see that.
        self._parent_pipe, self._alive = os.pipe()

    async def start(self) -> None:
        """Start everything and return when events can be sent and read.

        Raises CannotStart, CannotStartError (no broker), TopicsError, KeysUnavailable,
        CannotMigrate, Unreachable or OSError. What was started is for `stop` to end.
        """
        settings = self._settings
        kafka = settings.kafka
        choice = await _choose_log(settings)
        runs_broker = choice.log == "own-kafka"
        if runs_broker:
            await prepare_broker(self._env)
        await wait_for_port(settings.host, settings.port)
        within_s = _READY_WITHIN_S + (_BROKER_READY_WITHIN_S if runs_broker else 0)
        try:
            async with asyncio.timeout(within_s):
                clickhouse_url = self._start_clickhouse()
                if kafka is None:
                    log = embedded_log(settings.data / "log", self._env)
                elif runs_broker:
                    log = await self._start_broker(kafka)
                else:
                    log = await kafka_log(kafka, self._env)
                keep_choice(settings.data, choice)  # before the first thing is written to it
                client = {
                    "BASE_URL": settings.base_url,
                    **await credentials(settings.data, log.keys),
                    "CLICKHOUSE_URL": clickhouse_url,
                    **log.client_env,
                }
                await self._start_services(log, clickhouse_url)
        except TimeoutError:
            raise CannotStart(
                f"the stack was not ready within {within_s:g} s; "
                "the lines above say which part fails"
            ) from None
        client_file = settings.data / CLIENT_FILE
        write_client_file(client_file, client)
        _greet(settings.base_url, client["API_KEY"], client_file, log.name)

    async def stop(self) -> None:
        """Drain and end the parts, from the way in to the stores."""
        for names in _STOP_ORDER:
            here = [name for name in names if name in self._children]
            await asyncio.gather(*(self._children[name].stop(_STOP_S[name]) for name in here))

    def kill(self) -> None:
        """End every part at once."""
        for child in self._children.values():
            child.kill()

    def _start_clickhouse(self) -> str:
        """Start it, don't wait, and give its address."""
        port = free_port()
        path = self._settings.data / "clickhouse"
        self._child("clickhouse", [f"--path={path}", f"--port={port}"], self._env)
        return f"http://127.0.0.1:{port}"

    async def _start_broker(self, settings: KafkaSettings) -> ServedLog:
        port = free_port()
        path = self._settings.data / "kafka"
        broker = self._child("kafka", [f"--path={path}", f"--port={port}"], self._env)
        await broker.ready.wait()
        here = replace(settings, bootstrap_servers=f"127.0.0.1:{port}")
        return await kafka_log(here, without_kafka(self._env))

    async def _start_services(self, log: ServedLog, clickhouse_url: str) -> None:
        """Start API and consumer, and return when events can be sent and read."""
        settings = self._settings
        others = ("TALLY_CLICKHOUSE_", "TALLY_CONSUMER_DRAIN_TIMEOUT_S")
        env = {
            **{name: value for name, value in log.env.items() if not name.startswith(others)},
            "TALLY_CLICKHOUSE_URL": clickhouse_url,
            "TALLY_CONSUMER_DRAIN_TIMEOUT_S": _CONSUMER_DRAIN_S,
        }
        listen = (f"--host={settings.host}", f"--port={settings.port}")
        reader = {**env, "TALLY_CLICKHOUSE_USER": "tally_reader"}
        api = self._child("api", [*log.arguments, *listen], reader)
        await self._children["clickhouse"].ready.wait()
        await _migrate(clickhouse_url)
        consumer = self._child("consumer", log.arguments, env)
        await consumer.ready.wait()
        await api.ready.wait()
        await wait_for_queries(settings.base_url)

    def _child(self, name: str, arguments: Sequence[str], env: Mapping[str, str]) -> ChildProcess:
        command = ["-m", f"deploy.embedded.{name}", *arguments]
        child = ChildProcess(name, command, env, parent_pipe=self._parent_pipe)
        self._children[name] = child
        return child


async def _choose_log(settings: UpSettings) -> LogChoice:
    """Give the log that was asked for. Raises CannotStart if the data directory's is another."""
    kafka = settings.kafka
    if kafka is None:
        choice = LogChoice("embedded")
    elif not kafka.bootstrap_servers:
        choice = LogChoice("own-kafka", kafka.topic_prefix)
    else:
        choice = LogChoice("kafka", kafka.topic_prefix)
        check_choice(settings.data, choice)  # before it is asked whether it answers
        choice = LogChoice("kafka", kafka.topic_prefix, await cluster_id(kafka))
    check_choice(settings.data, choice)
    return choice


async def _migrate(url: str) -> None:
    client = await connect(ClickHouseSettings(url=url), wait_s=_READY_WITHIN_S)
    try:
        await migrate(client)
    finally:
        await client.close()


def _greet(base_url: str, api_key: str, client_file: Path, log: str) -> None:
    """Tell on stdout where the stack is and how to use it."""
    event = '{"event_name":"api.request","external_customer_id":"acme","properties":{"bytes":512}}'
    sys.stdout.write(
        f"""
Tally is ready at {base_url}, on {log}
  key     {api_key}
  send    curl -H 'x-api-key: {api_key}' -H 'content-type: application/json' \
-d '{event}' {base_url}/v1/events
  read    curl -H 'x-api-key: {api_key}' '{base_url}/v1/events?external_customer_id=acme'
  both the address and the key are in {client_file}; Ctrl-C stops
"""
    )
    sys.stdout.flush()
