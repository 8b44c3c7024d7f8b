"""Which events Sequence's list holds, against the real engine: bounds, filters, IDs, tenants."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from deploy.clickhouse.migrations import read_migrations
from query_api.settings import Settings
from schemas.clickhouse import ClickHouseSettings
from tests.query_api.conftest import Api, serving
from tests.query_api.rows import NOON, Row, Table, at, text
from tests.query_api.usage import Page, ids, listed, send_id
from tests.support.clickhouse import embedded_clickhouse

MS = 1_700_000_000_000


async def test_a_list_has_no_window(api: Api, table: Table, tenant: str) -> None:
    """Without bounds everything is there, whatever its time."""
    days = (-5000, -8, 0, 9000)
    table.store(
        *(
            Row(tenant, f"{day}", NOON + timedelta(days=day), send_id=send_id(MS, day + 9999))
            for day in days
        )
    )
    assert await ids(api, tenant) == ["9000", "0", "-8", "-5000"]


async def test_both_bounds_are_exclusive(api: Api, table: Table, tenant: str) -> None:
    """To the digit, inside an hour, also of a bound that is finer than what an event holds."""
    rows = [Row(tenant, f"{micros}", at(10, micros=micros)) for micros in (0, 1, 2, 3)]
    table.store(*rows)

    async def between(after: str, before: str) -> list[str]:
        bounds = {"eventTimestampAfter": after, "eventTimestampBefore": before}
        return sorted(await ids(api, tenant, **bounds))

    second = "2024-03-20T12:10:00"
    assert await between(f"{second}Z", f"{second}.000003Z") == ["1", "2"]
    assert await between(f"{second}.000001Z", f"{second}.000002Z") == []
    assert await between(f"{second}.000001Z", f"{second}.000001Z") == []
    assert await between(f"{second}.0000009Z", f"{second}.0000021Z") == ["1", "2"]
    assert await between(f"{second}.0000010000Z", f"{second}.0000020000Z") == []
    assert await between(f"{second}.000001+00:00", f"{second}.000003001+00:00") == ["2", "3"]
    assert await between("1969-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z") == list("0123")
    assert await between("0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z") == []
    assert await between("2106-02-07T06:00:00Z", "9999-12-31T23:59:59.999999Z") == []


@pytest.mark.parametrize("more", [{}, {"eventId": "moved"}, {"customerAlias": "acme"}])
async def test_corrections_inside_and_out_of_an_hour(
    api: Api, table: Table, tenant: str, more: dict[str, str]
) -> None:
    """With parts of a single row, an event is found where it was sent last and nowhere else."""
    row = Row(tenant, "moved", at(20))
    table.store_apart(row, row._replace(timestamp=at(50), version=2))
    old = {"eventTimestampAfter": text(at(10)), "eventTimestampBefore": text(at(30)), **more}
    assert await ids(api, tenant, **old) == []
    new = {"eventTimestampAfter": text(at(40)), "eventTimestampBefore": text(at(51)), **more}
    assert await ids(api, tenant, **new) == ["moved"]
    table.store_apart(
        row._replace(timestamp=at(50), version=2).tombstone,
        row._replace(timestamp=at(2000), version=3),
    )
    assert await ids(api, tenant, **new) == []
    assert await ids(api, tenant, **more) == ["moved"]
    table.insert(row._replace(timestamp=at(2000), version=3).tombstone)
    assert await ids(api, tenant, **more) == []


async def test_a_correction_may_change_what_filters_see(
    api: Api, table: Table, tenant: str
) -> None:
    """A filter that the older row passes and the newer does not finds nothing, by any filter."""
    row = Row(tenant, "x", at(20), "call", send_id=send_id(MS, 1))
    newer = row._replace(event_name="mail", version=2, send_id=send_id(MS, 2))
    table.store_apart(row, newer)
    assert await ids(api, tenant, eventType="call") == []
    assert await ids(api, tenant, eventType="mail") == ["x"]
    assert await ids(api, tenant, eventId=row.send_id) == []
    assert await ids(api, tenant, eventId=newer.send_id) == ["x"]
    assert await ids(api, tenant, eventId=newer.send_id.upper(), eventType="call") == []


async def test_any_of_several_customers(api: Api, table: Table, tenant: str) -> None:
    """Each customerAlias adds its events; that none is mapped changes nothing."""
    table.store(*(Row(tenant, name, external_customer_id=name) for name in ("a", "b", "ç'\\", "")))
    for names in (["a"], ["a", "b"], ["ç'\\", "a", "a"], ["nobody"]):
        for unmapped in ("true", "false"):
            pairs = [("customerAlias", name) for name in names]
            answer = await api.usage(tenant, pairs, unmappedAliasesOnly=unmapped)
            assert sorted(Page.of(answer.body).event_ids) == sorted({*names} - {"nobody"})


async def test_an_event_id_is_the_senders_before_it_is_ours(
    api: Api, table: Table, tenant: str
) -> None:
    """An eventId finds what the sender called so, in the index or not; only where nothing is called
    so, the send that we gave this ID, made or answered.
    """
    plain, other = send_id(MS, 1), send_id(MS, 2)
    table.store(Row(tenant, "x", send_id=plain), Row(tenant, "y", send_id=other))
    table.insert(Row(tenant, other, send_id=send_id(MS, 3)), Row(tenant, "made", version=MS << 20))
    assert await ids(api, tenant, eventId="x") == ["x"]
    assert await ids(api, tenant, eventId=plain) == ["x"]
    assert await ids(api, tenant, eventId=other) == [other]
    assert await ids(api, tenant, eventId=other, eventType="none") == []
    assert await ids(api, tenant, eventId=send_id(MS, 99)) == []
    assert await ids(api, tenant, eventId="nothing") == []
    (made,) = (await listed(api, tenant, eventId="made"))["items"]
    assert await ids(api, tenant, eventId=made["id"]) == ["made"]


async def test_a_tenant_sees_only_itself(api: Api, table: Table, tenant: str) -> None:
    """Neither by ID nor in a list; and a cursor of another tenant is refused."""
    table.store(Row(tenant, "mine", send_id=send_id(MS, 4)), Row(tenant, "too"))
    other = f"{tenant}-other"
    for asked in ({}, {"eventId": "mine"}, {"eventId": send_id(MS, 4)}):
        assert await ids(api, other, **asked) == []
    token = (await listed(api, tenant, limit="1"))["pagination"]["after"]
    refused = await api.usage(other, after=token)
    assert refused.status == 400
    assert refused.body["details"] == {"field": "after"}


async def test_the_index_of_ids_is_not_trusted(api: Api, table: Table, tenant: str) -> None:
    """An eventId is found where it stands although the index knows another key."""
    row = Row(tenant, "lagging", at(20))
    table.store_apart(row)
    table.insert(row._replace(timestamp=at(500), version=2), row.tombstone)
    assert await ids(api, tenant, eventId="lagging") == ["lagging"]


async def test_tables_without_the_column_are_a_503(tmp_path: Path) -> None:
    """Until the migration, that is; the text says what to do, and other lists go on."""
    with embedded_clickhouse(tmp_path / "old") as server:
        table = Table(server.url)
        for migration in read_migrations()[:2]:
            for statement in migration.statements:
                table.command(statement.sql)
        async with serving(Settings(clickhouse=ClickHouseSettings(url=server.url))) as api:
            answer = await api.usage("t")
            assert answer.status == 503
            assert answer.body["statusCode"] == 503
            assert "apply the migrations" in answer.body["message"]
            assert await api.listed("t") == []
        table.close()
