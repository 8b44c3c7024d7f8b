"""The view that analysts read, against the real engine, with parts of a single row."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from deploy.clickhouse.store import connected, migrate
from schemas.clickhouse import ClickHouseSettings
from tests.query_api.rows import Row, Table, at, text

# What a reader's own query may set; each breaks FINAL on the table itself.
HOSTILE = (
    "",
    "do_not_merge_across_partitions_select_final = 1",
    "defer_partition_pruning_after_final = 0",
    "optimize_move_to_prewhere_if_final = 1, apply_prewhere_after_final = 0",
    "use_skip_indexes_if_final = 1, use_skip_indexes_if_final_exact_mode = 0",
)
HOSTILE = (*HOSTILE, ", ".join(HOSTILE[1:]))


class View:
    """The view and the table under it, in a database of this test's own."""

    def __init__(self, client: Any, table: Table) -> None:
        self._client = client
        self.table = table

    async def ids(self, where: str, settings: str = "") -> list[tuple[str, str]]:
        """The events that a condition finds: ID and name."""
        clause = f" SETTINGS {settings}" if settings else ""
        sql = f"SELECT event_id, event_name FROM usage_events WHERE {where} ORDER BY ALL{clause}"
        return list((await self._client.query(sql)).result_rows)

    async def columns(self) -> list[str]:
        result = await self._client.query("SELECT * FROM usage_events LIMIT 0")
        return list(result.column_names)


@pytest.fixture
async def view(settings: ClickHouseSettings) -> AsyncIterator[View]:
    async with connected(settings, wait_s=10) as client:
        await migrate(client)
        await client.command("SYSTEM STOP MERGES events")
        table = Table(f"{settings.url}/{settings.database}")
        yield View(client, table)
        table.close()


def between(start: datetime, end: datetime) -> str:
    return f"timestamp >= '{bound(start)}' AND timestamp < '{bound(end)}'"


def bound(moment: datetime) -> str:
    return text(moment).replace("T", " ").rstrip("Z")


async def test_it_has_the_columns_of_an_event(view: View) -> None:
    """Nobody who reads it meets versions, tombstones or keys."""
    assert await view.columns() == [
        *("tenant", "event_id", "event_name", "external_customer_id", "customer_id", "source"),
        *("timestamp", "properties"),
    ]


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_a_corrected_event_is_there_once(view: View, hostile: str) -> None:
    """Moved within its hour, out of it, to another day, or hidden: only the last send counts,
    whatever bounds the reader puts on the time, and whatever the reader's query sets.
    """
    within, out, away, gone = (
        Row("t", name, at(20), name) for name in ("within", "out", "away", "gone")
    )
    view.table.insert(within)
    view.table.insert(within._replace(timestamp=at(50), event_name="new", version=2))
    for row, moved in ((out, at(140)), (away, at(20 + 24 * 60))):
        view.table.insert(row)
        view.table.insert(row._replace(timestamp=moved, event_name="new", version=2))
        view.table.insert(row.tombstone)
    view.table.insert(gone)
    view.table.insert(gone.tombstone)
    assert await view.ids(between(at(10), at(30)), hostile) == []
    assert await view.ids(between(at(0), at(60)), hostile) == [("within", "new")]
    assert await view.ids(between(at(40), at(60)), hostile) == [("within", "new")]
    assert await view.ids(between(at(130), at(150)), hostile) == [("out", "new")]
    everything = [("away", "new"), ("out", "new"), ("within", "new")]
    assert await view.ids("1", hostile) == everything
    assert await view.ids("event_name = 'new'", hostile) == everything
    assert await view.ids("event_name != 'new'", hostile) == []
    assert await view.ids("event_id IN ('within', 'gone')", hostile) == [("within", "new")]


@pytest.mark.parametrize("seed", range(3))
async def test_it_agrees_with_a_dictionary(view: View, seed: int) -> None:
    """Random sends and corrections over three days, asked for by random bounds."""
    random = Random(seed)
    live: dict[str, Row] = {}
    for version in range(1, 61):
        event_id = f"e{random.randrange(25)}"
        moment = at(random.randrange(72) * 60 + random.randrange(60))
        row = Row("t", event_id, moment, f"n{version}", version=version)
        before = live.get(event_id)
        view.table.insert(row)
        if before is not None and hour(before.timestamp) != hour(moment):
            view.table.insert(before.tombstone._replace(version=version))
        live[event_id] = row
    for _ in range(15):
        start = at(random.randrange(72 * 60))
        end = start + timedelta(minutes=random.choice([7, 45, 200, 2000]))
        expected = sorted(
            (row.event_id, row.event_name) for row in live.values() if start <= row.timestamp < end
        )
        assert await view.ids(between(start, end), random.choice(HOSTILE)) == expected


def hour(moment: datetime) -> datetime:
    return moment.replace(minute=0)
