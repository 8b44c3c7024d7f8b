"""The reader and the analysts, against the real engine, by people who want to get around."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import clickhouse_connect
import pytest

from deploy.clickhouse.store import connect, migrate
from deploy.embedded.clickhouse.access import tenant_statements
from deploy.embedded.clickhouse.accounts import changed_analysts
from schemas.clickhouse import ClickHouseSettings
from tests.deploy.embedded.clickhouse.attacks import ATTACKS
from tests.deploy.embedded.clickhouse.conftest import Reply, send
from tests.query_api.rows import Row, Table, at
from tests.support.clickhouse import EmbeddedClickHouse, embedded_clickhouse

SECRET = "zeta-secret-4711"
PASSWORD = "let-me-in"

Ask = Callable[..., Reply]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    """Tables with events of two tenants in one granule, and an analyst of each tenant."""
    with embedded_clickhouse(tmp_path_factory.mktemp("access") / "data") as server:
        asyncio.run(_migrated(server.url))
        table = Table(server.url)
        mine = [Row("acme", f"a{n}", at(n), properties='{"n":1}') for n in range(20)]
        theirs = [Row("zeta", f"z{n}", at(n), SECRET, properties='{"n":2}') for n in range(30)]
        table.store(*mine, *theirs)
        table.store(mine[0]._replace(timestamp=at(90), version=2), mine[0].tombstone)
        table.close()
        with changed_analysts(server.directory) as analysts:
            for tenant in ("acme", "zeta"):
                place = analysts.place_of(tenant)
                analysts.put(f"analyst_{tenant}", tenant, f"{PASSWORD}-{tenant}")
                for statement in tenant_statements(place, tenant):
                    assert send(server.port, statement).status == 200
        yield server


async def _migrated(url: str) -> None:
    client = await connect(ClickHouseSettings(url=url), wait_s=10)
    await migrate(client)
    await client.close()


@pytest.fixture
def analyst(stored: EmbeddedClickHouse) -> Ask:
    """Ask as the analyst of acme."""

    def ask(sql: str = "", *, method: str = "POST", **url: str) -> Reply:
        who = {"user": "analyst_acme", "password": f"{PASSWORD}-acme"}
        return send(stored.port, sql, method=method, **{**who, **url})

    return ask


@pytest.fixture
def reader(stored: EmbeddedClickHouse) -> Ask:
    """Ask as the query service."""

    def ask(sql: str = "", *, method: str = "POST", **url: str) -> Reply:
        return send(stored.port, sql, method=method, **{"user": "tally_reader", **url})

    return ask


def owner(stored: EmbeddedClickHouse, sql: str) -> str:
    return send(stored.port, sql).text


@pytest.mark.parametrize("name", ["usage_events", "tally_tenant_0.usage_events"])
def test_an_analyst_reads_the_tenants_events(analyst: Ask, name: str) -> None:
    """Each of the tenant's events once, as last sent, and nobody else's."""
    reply = analyst(f"SELECT tenant, count(), max(timestamp) FROM {name} GROUP BY tenant")
    assert reply.text == "acme\t20\t2024-03-20 13:30:00.000000\n"


def test_another_analyst_reads_the_other_tenants(stored: EmbeddedClickHouse) -> None:
    """The same query of another user has another answer."""
    who = {"user": "analyst_zeta", "password": f"{PASSWORD}-zeta"}
    reply = send(stored.port, "SELECT tenant, count() FROM usage_events GROUP BY 1", **who)
    assert reply.text == "zeta\t30\n"


@pytest.mark.parametrize(
    "sql",
    [
        "WITH t AS (SELECT * FROM usage_events) SELECT count() FROM t",
        "SELECT count() FROM (SELECT 1 FROM usage_events UNION ALL SELECT 2 WHERE 0)",
        "SELECT count() FROM usage_events a JOIN usage_events b USING event_id",
        "SELECT count() FROM usage_events WHERE event_id IN (SELECT event_id FROM usage_events)",
        "-- with a comment\nSELECT /* ; */ count() FROM usage_events -- ;",
        "SELECT toUInt64(20) FROM numbers(1)",
        "SELECT count() FROM {t:Identifier}",
        "SELECT count() FROM usage_events WHERE JSONExtractInt(properties, {p:String}) = 1",
    ],
)
def test_plain_sql_is_the_analysts_to_use(analyst: Ask, sql: str) -> None:
    """Subqueries, joins, parameters and comments are what analysts write."""
    assert analyst(sql, param_t="usage_events", param_p="n").text == "20\n"


@pytest.mark.parametrize(
    "sql",
    [
        "SHOW TABLES",
        "SHOW DATABASES",
        "DESCRIBE TABLE usage_events",
        "SHOW CREATE TABLE usage_events",
        "EXISTS TABLE usage_events",
        "EXPLAIN SELECT count() FROM usage_events",
        "SELECT name FROM system.settings LIMIT 1",
        "SELECT name, type FROM system.columns WHERE table = 'usage_events'",
        "SELECT table_name FROM information_schema.tables LIMIT 1",
        "SELECT 1 IN system.one",
    ],
)
def test_what_clients_look_up_is_answered(analyst: Ask, sql: str) -> None:
    """Names of tables and columns, as far as the analyst may read them."""
    reply = analyst(sql)
    assert reply.status == 200, reply.text
    assert reply.body.strip()


@pytest.mark.parametrize("sql", ATTACKS)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_an_analyst_gets_nothing_else(
    stored: EmbeddedClickHouse, analyst: Ask, sql: str, method: str
) -> None:
    """Every way around is refused, shows nothing of the other tenant, and changes nothing."""
    before = owner(stored, "SELECT count() FROM events")
    if method == "GET":
        reply = analyst(method="GET", query=sql, param_t="default")
    else:
        reply = analyst(sql, param_t="default")
    assert reply.code, reply.text
    assert SECRET not in reply.text
    assert "root:" not in reply.text
    assert owner(stored, "SELECT count() FROM events") == before


@pytest.mark.parametrize(
    "condition",
    [
        "toUInt8(event_name) = 1",
        "throwIf(tenant = 'zeta', 'there it is') = 0",
        "1 / (tenant != 'zeta') < 2 AND intDiv(1, tenant != 'zeta') = 1",
    ],
)
def test_no_error_tells_of_another_tenants_rows(analyst: Ask, condition: str) -> None:
    """A condition that fails on a value is never tried on rows that the analyst may not see."""
    reply = analyst(f"SELECT count() FROM usage_events WHERE {condition}")
    assert SECRET not in reply.text
    assert "there it is" not in reply.text


def test_the_engine_filters_by_itself(stored: EmbeddedClickHouse) -> None:
    """A view that forgot the tenant would still show one: its user has a row policy."""
    view = "CREATE OR REPLACE VIEW tally_tenant_0.forgetful DEFINER = tally_tenant_0"
    for condition in ("WHERE 1", "PREWHERE throwIf(tenant = 'zeta') = 0"):
        select = f"SELECT DISTINCT tenant FROM default.events {condition}"
        assert send(stored.port, f"{view} SQL SECURITY DEFINER AS {select}").status == 200
        assert owner(stored, "SELECT * FROM tally_tenant_0.forgetful") == "acme\n"
    assert send(stored.port, "DROP VIEW tally_tenant_0.forgetful").status == 200


@pytest.mark.parametrize(
    "url",
    [
        {"SQL_tally_tenant": "zeta"},
        {"additional_table_filters": "{'default.events':'toUInt8(event_name) = 1'}"},
        {"readonly": "0"},
        {"dialect": "prql"},
        {"allow_ddl": "1"},
        {"output_format_schema": "/tmp/tally-attack", "default_format": "Protobuf"},
        {"format_template_row": "/etc/passwd", "default_format": "Template"},
        {"database": "default_"},
        {"database": "system"},
        {"database": "tally_tenant_1"},
        {"role": "tally_admin"},
        {"user": "default"},
        {"user": "analyst_zeta"},
    ],
)
def test_no_parameter_opens_more(analyst: Ask, url: dict[str, str]) -> None:
    """A setting that is not an analyst's, another database, role or user is refused."""
    reply = analyst("SELECT * FROM usage_events WHERE tenant != 'acme'", **url)
    assert reply.code, reply.text
    assert SECRET not in reply.text


def test_a_session_of_the_owner_is_not_the_analysts(
    stored: EmbeddedClickHouse, analyst: Ask
) -> None:
    """An analyst who knows the name of a session gets none of its rights."""
    for sql in ("CREATE TEMPORARY TABLE mine AS SELECT * FROM default.events", "USE default"):
        assert send(stored.port, sql, session_id="shared").status == 200
    for sql in ("SELECT * FROM mine", "SELECT * FROM events", "SELECT * FROM default.events"):
        reply = analyst(sql, session_id="shared")
        assert reply.code
        assert SECRET not in reply.text
    assert send(stored.port, "SELECT count() > 0 FROM mine", session_id="shared").text == "1\n"


def test_limits_can_be_lowered_and_not_raised(analyst: Ask) -> None:
    """A request that asks for more, or for no limit, has the account's limit."""
    sql = "SELECT getSetting('max_execution_time')"
    for asked, given in {"0": "60", "3600": "60", "5": "5", "-1": "60", "x": "60"}.items():
        assert analyst(sql, max_execution_time=asked).text == f"{given}\n"
    assert analyst(sql).text == "60\n"
    counting = "SELECT sum(number) FROM numbers(20000000000)"
    assert analyst(counting, max_rows_to_read="0").code == 158
    assert analyst("SELECT sum(number) FROM numbers(100)", max_rows_to_read="10").code == 158


def test_a_password_that_is_wrong_opens_nothing(stored: EmbeddedClickHouse) -> None:
    """Neither no password, nor another analyst's, nor the hash of the right one."""
    hashed = (stored.directory / "analysts.json").read_text().split('password_hash":"')[1][:64]
    for password in ("", f"{PASSWORD}-zeta", hashed):
        reply = send(stored.port, "SELECT 1", user="analyst_acme", password=password)
        assert (reply.status, reply.code) == (403, 516)


def test_the_python_client_works_for_analysts(stored: EmbeddedClickHouse) -> None:
    """clickhouse-connect connects, binds and lists tables as an analyst."""
    with clickhouse_connect.get_client(
        host="127.0.0.1",
        port=stored.port,
        username="analyst_acme",
        password=f"{PASSWORD}-acme",
    ) as client:
        rows: Any = client.query(
            "SELECT event_id FROM usage_events WHERE event_id = {id:String}",
            parameters={"id": "a7"},
            settings={"max_execution_time": 10},
        ).result_rows
        assert rows == [("a7",)]
        assert client.command("SHOW TABLES") == "usage_events"


def test_the_reader_reads_the_tables(reader: Ask) -> None:
    """The query service reads what it needs, with its own settings."""
    sql = "SELECT count() FROM events FINAL WHERE tenant = {t:String}"
    url = {"do_not_merge_across_partitions_select_final": "1", "optimize_use_projections": "0"}
    assert reader(sql, param_t="acme", **url).text == "20\n"
    assert reader(sql, param_t="zeta", **url).text == "30\n"
    assert reader("SELECT count() > 0 FROM event_ids").text == "1\n"
    assert reader(method="GET", query=sql, param_t="acme").text == "20\n"


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO events (tenant) VALUES ('x')",
        "INSERT INTO events SELECT * FROM events",
        "DROP TABLE events",
        "ALTER TABLE events DELETE WHERE 1",
        "CREATE TABLE x (a Int8) ENGINE = Memory",
        "SET ROLE tally_admin",
        "SET readonly = 0",
        "SELECT 1; DROP TABLE events",
        "SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 0)",
        "SELECT file('/etc/passwd')",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'TSV', 'a String')",
        "SELECT * APPLY(file) FROM (SELECT '/etc/passwd')",
        "SELECT * FROM Python(os)",
        "SELECT * FROM `/etc/passwd`",
        "SELECT * FROM `analysts.json`",
        "SELECT * FROM default.`analysts.json`",
        "KILL QUERY WHERE 1",
        "SYSTEM STOP MERGES",
    ],
)
def test_the_reader_only_reads(stored: EmbeddedClickHouse, reader: Ask, sql: str) -> None:
    """Anything but a read of tables is refused and changes nothing."""
    before = owner(stored, "SELECT count() FROM events")
    reply = reader(sql)
    assert reply.code, reply.text
    assert "root:" not in reply.text
    assert owner(stored, "SELECT count() FROM events") == before


def test_the_readers_limits_hold(reader: Ask) -> None:
    """The query service's own limits count as long as they are not above the account's."""
    sql = "SELECT getSetting('max_execution_time')"
    for asked, given in {"30": "30", "0.5": "0.5", "0": "300", "9999": "300"}.items():
        assert reader(sql, max_execution_time=asked).text == f"{given}\n"
