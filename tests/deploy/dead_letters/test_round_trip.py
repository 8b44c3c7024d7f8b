"""The whole way round over Kafka: refused, put aside, mended, replayed, stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest

from tests.consumer.events import read
from tests.deploy.dead_letters.letters import Command
from tests.support.clickhouse import ClickHouse, clickhouse
from tests.support.kafka import Kafka
from tests.support.services import Services, services


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ClickHouse]:
    with clickhouse(tmp_path / "engine") as server:
        yield server


@pytest.fixture
def running(kafka: Kafka, engine: ClickHouse, tmp_path: Path) -> Iterator[Services]:
    with services(tmp_path / "services", kafka.bootstrap_servers, engine.url) as made:
        made.start()
        yield made


def event(event_id: str, name: str) -> dict[str, Any]:
    return {"event_id": event_id, "event_name": name, "external_customer_id": "c"}


def test_an_event_that_was_refused_is_stored_after_its_replay(
    running: Services, engine: ClickHouse
) -> None:
    """It supersedes nothing that was sent after it, and what was sent beside it never waited."""
    tally = Command(running.env)

    def names() -> dict[str, str]:
        return {row.event_id: row.event_name for row in read(engine.url, running.tenant)}

    def send(*events: dict[str, Any]) -> None:
        status, answer = running.send(list(events))
        assert status == 202, answer

    client = clickhouse_connect.get_client(dsn=engine.url)
    client.command("ALTER TABLE events ADD CONSTRAINT no_letters CHECK event_name != 'bad'")
    send(event("a", "first"), event("b", "first"))
    send(event("a", "bad"), event("b", "bad"), event("good", "fine"))
    running.wait_until_stored()
    assert names() == {"a": "first", "b": "first", "good": "fine"}
    found = tally.listed()
    assert sorted(one["event_id"] for one in found) == ["a", "b"]
    assert all("no_letters" in one["reason"] for one in found)

    send(event("b", "last"))
    assert tally("replay", "--all", "--yes").returncode == 0
    running.wait_until_stored()
    assert names() == {"a": "first", "b": "last", "good": "fine"}
    (again,) = tally.listed()
    assert (again["event_id"], again["attempts"]) == ("a", 2)

    client.command("ALTER TABLE events DROP CONSTRAINT no_letters")
    client.close()
    assert tally("replay", again["origin"], "--yes").returncode == 0
    running.wait_until_stored()
    assert names() == {"a": "bad", "b": "last", "good": "fine"}
    assert tally.listed() == []
    assert not [one for one in running.consumers if not one.runs()]
