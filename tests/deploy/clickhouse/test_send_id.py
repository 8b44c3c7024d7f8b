"""The migration that adds IDs of sends, on a table that holds rows already."""

from __future__ import annotations

from typing import Any

from deploy.clickhouse.migrations import read_migrations
from deploy.clickhouse.store import connected, migrate, run
from schemas.clickhouse import ClickHouseSettings
from schemas.tables import READ_SETTINGS
from tests.query_api.rows import Row, Table, at
from tests.support.usage_events import is_uuid7

VERSION = 1_700_000_000_000 << 20
GIVEN = "018bcfe5-6800-7000-8000-000000000001"
READ = "SELECT event_id, toString(id) FROM events FINAL WHERE tenant = 't' ORDER BY toUInt128(id)"
NARROW = (
    "SELECT event_id, toString(argMax(send_id, version)) FROM events "
    "WHERE tenant = 't' AND external_customer_id = 'acme' GROUP BY event_id"
)


async def rows_of(client: Any, sql: str, **settings: Any) -> list[tuple[str, str]]:
    result = await client.query(sql, settings={**READ_SETTINGS, **settings})
    return [(str(event_id), str(send_id)) for event_id, send_id in result.result_rows]


async def test_rows_from_before_it_are_read_merged_and_superseded(
    settings: ClickHouseSettings,
) -> None:
    """Their IDs are made of their versions; they are the same after parts of before and after it
    are merged, and the table's projection goes on serving all of them.
    """
    before, after = read_migrations()[:2], read_migrations()[2:]
    async with connected(settings, wait_s=10) as client:
        await run(client, [each.sql for migration in before for each in migration.statements])
        await client.command("SYSTEM STOP MERGES events")
        old = [Row("t", f"old{n}", at(n), version=VERSION + n) for n in range(4)]
        columns = ", ".join(Row._fields[:-1])
        for row in old:  # a part each, without the column that is not there yet
            values = ", ".join(
                f"'{value:%Y-%m-%d %H:%M:%S}'" if name == "timestamp" else repr(value)
                for name, value in zip(Row._fields[:-1], row, strict=False)
            )
            await client.command(f"INSERT INTO events ({columns}) VALUES ({values})")
        for _ in range(2):
            await run(client, [each.sql for migration in after for each in migration.statements])
        made = await rows_of(client, READ)
        assert [event_id for event_id, _ in made] == ["old0", "old1", "old2", "old3"]
        assert all(is_uuid7(made_id) for _, made_id in made)

        table = Table(f"{settings.url}/{settings.database}")
        table.insert(Row("t", "new", at(9), version=VERSION + 9, send_id=GIVEN))
        table.insert(old[1]._replace(version=VERSION + 10, send_id=GIVEN[:-1] + "2"))
        table.insert(old[2].tombstone)
        table.close()
        wanted = [made[0], ("new", GIVEN), ("old1", GIVEN[:-1] + "2"), made[3]]
        wanted.sort(key=lambda one: one[1])
        assert await rows_of(client, READ) == wanted
        assert ("new", GIVEN) in await rows_of(client, NARROW, force_optimize_projection=1)

        await client.command("SYSTEM START MERGES events")
        await client.command("OPTIMIZE TABLE events FINAL")
        assert await rows_of(client, READ) == wanted
        live = dict(await rows_of(client, NARROW, force_optimize_projection=1))
        assert live["new"] == GIVEN
        assert live["old1"] == GIVEN[:-1] + "2"
        assert live["old0"] == live["old3"] == "00000000-0000-0000-0000-000000000000"


async def test_what_an_id_is_made_of(settings: ClickHouseSettings) -> None:
    """Milliseconds, what the version counts within one, and 54 bits of tenant and event ID: a
    contract, since pages and people hold on to these IDs.
    """
    known = {
        1: "00000000-0000-7000-8078-0d4a0a197ac7",
        VERSION + 0x12345: "018bcfe5-6800-7123-9178-0d4a0a197ac7",
        VERSION + 0x12346: "018bcfe5-6800-7123-91b8-0d4a0a197ac7",
        2**64 - 1: "0fffffff-ffff-7fff-bff8-0d4a0a197ac7",
    }
    async with connected(settings, wait_s=10) as client:
        await migrate(client)
        table = Table(f"{settings.url}/{settings.database}")
        for version in known:
            table.insert(Row("t", "e", at(0), external_customer_id=f"{version}", version=version))
        table.insert(Row("t", "é", at(0), version=VERSION + 0x12345))
        table.close()
        made = await rows_of(client, READ)
        assert [made_id for event_id, made_id in made if event_id == "e"] == list(known.values())
        assert ("é", "018bcfe5-6800-7123-916d-ed29d408044d") in made
