"""Records with the ID of their send, on their way into tables that may not have its column yet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import msgspec
import pytest

from consumer.errors import Misconfigured
from consumer.intake import take_in
from consumer.settings import Settings
from consumer.store import ClickHouseStore
from deploy.clickhouse.migrations import read_migrations
from deploy.embedded.log.events import SqliteEventLog
from deploy.embedded.log.lag import read_lag
from schemas.clickhouse import ClickHouseSettings
from schemas.event import new_event_id
from schemas.record import FORMAT, FORMAT_HEADER, LogRecord, Record, decode_unknown, encode
from schemas.tables import READ_SETTINGS
from tests.consumer.conftest import consuming, wait_until_stored
from tests.consumer.events import record, row
from tests.consumer.sends import consume, send
from tests.support.clickhouse import ClickHouse, EmbeddedClickHouse, embedded_clickhouse


def sent_with(event_id: str, send_id: str, tenant: str = "t") -> Record:
    """The record of a send through Sequence's dialect."""
    event = decode_unknown(record(tenant, row(event_id)).value)
    return encode(msgspec.structs.replace(event, send_id=send_id), {FORMAT_HEADER: FORMAT})


def send_ids(url: str, tenant: str = "t") -> dict[str, str]:
    """The send's ID of each event, as the table holds it."""
    client = clickhouse_connect.get_client(dsn=url)
    sql = f"SELECT event_id, toString(send_id) FROM events FINAL WHERE tenant = '{tenant}'"
    rows = client.query(sql, settings=dict(READ_SETTINGS)).result_rows
    client.close()
    return dict(rows)


@pytest.fixture
def old_engine(tmp_path: Path) -> Iterator[EmbeddedClickHouse]:
    """An engine with the tables as they were before there were IDs of sends."""
    with embedded_clickhouse(tmp_path / "old") as server:
        apply(server, 1, 2)
        yield server


def apply(server: ClickHouse, *numbers: int) -> None:
    """Run the statements of these migrations."""
    client = clickhouse_connect.get_client(dsn=server.url)
    for migration in read_migrations():
        if migration.number in numbers:
            for statement in migration.statements:
                client.command(statement.sql)
    client.close()


async def test_a_table_without_the_column_is_nobodys_fault(
    old_engine: EmbeddedClickHouse,
) -> None:
    """No row is looked for and nothing dropped from it; records without such an ID go in."""
    store = ClickHouseStore(ClickHouseSettings(url=old_engine.url))
    made = sent_with("x", new_event_id())
    one = take_in(LogRecord(0, 0, 1, made.key, made.value, made.headers), 1)
    for _ in range(2):
        with pytest.raises(Misconfigured, match=r"tally migrate.*send_id"):
            await consume(store, [one, send("t", row("y"), 2)])
    assert await consume(store, [send("t", row("y"), 2)]) == []
    apply(old_engine, 3)
    assert await consume(store, [one]) == []
    await store.close()


async def test_a_consumer_waits_for_the_migration(
    old_engine: EmbeddedClickHouse, tmp_path: Path
) -> None:
    """Nothing is committed, nothing put aside; after it, each ID is stored as it was answered."""
    log = SqliteEventLog(tmp_path / "log")
    ids = {f"e{number}": new_event_id() for number in range(20)}
    await log.append([sent_with(*pair) for pair in ids.items()], timeout_s=5)
    clickhouse = ClickHouseSettings(url=old_engine.url)
    settings = Settings(clickhouse=clickhouse, max_batch_age_ms=20)
    async with consuming(tmp_path / "log", settings):
        await asyncio.sleep(0.5)
        assert sum(lag.records for lag in read_lag(tmp_path / "log")) == 20
        apply(old_engine, 3)
        await wait_until_stored(tmp_path / "log")
    await log.close()
    assert send_ids(old_engine.url) == ids


async def test_a_send_that_names_nothing_takes_the_id_away(engine: ClickHouse) -> None:
    """An event that is sent again in another dialect has no longer the ID of its earlier send."""
    store = ClickHouseStore(ClickHouseSettings(url=engine.url))
    made = sent_with("x", new_event_id(), "other dialect")
    first = take_in(LogRecord(0, 0, 1, made.key, made.value, made.headers), 1)
    await consume(store, [first])
    assert send_ids(engine.url, "other dialect")["x"] != "00000000-0000-0000-0000-000000000000"
    await consume(store, [send("other dialect", row("x"), 2)])
    assert send_ids(engine.url, "other dialect") == {"x": "00000000-0000-0000-0000-000000000000"}
    await store.close()
