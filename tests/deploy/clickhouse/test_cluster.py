"""A cluster's tables, as far as one process can be one: a shard of one replica, which is itself.

What needs several servers (copies, quorums, ON CLUSTER) is taken out of the SQL; what the services
meet is there: tables NAME over tables NAME_local.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from consumer.resolve import KnownKeys
from consumer.store import ClickHouseStore
from deploy.clickhouse import migrations
from deploy.clickhouse.migrations import Cluster, on_cluster, read_migrations
from deploy.clickhouse.store import OtherTables, connected, migrate
from query_api.settings import Settings
from schemas.clickhouse import ClickHouseSettings
from schemas.event import identity_hash, identity_key
from schemas.tables import EventIdEntry, EventKey
from tests.query_api.conftest import serving
from tests.query_api.rows import NOON, Row, Table, at, text
from tests.support.clickhouse import EmbeddedClickHouse, embedded_clickhouse

# The engine takes port and address for its own, and so itself for the one replica.
CONFIG = """
<clickhouse>
  <tcp_port>9000</tcp_port>
  <remote_servers>
    <tally>
      <shard>
        <internal_replication>true</internal_replication>
        <replica><host>127.0.0.1</host><port>9000</port></replica>
      </shard>
    </tally>
  </remote_servers>
</clickhouse>
"""


def alone(sql: str) -> str:
    """A cluster's statement without what needs a second server or a keeper."""
    sql = sql.replace(" ON CLUSTER `tally`", "")
    return re.sub(r"Replicated(\w+)\('/clickhouse[^']*', '\{replica\}'(?:, )?", r"\1(", sql)


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    directory: Path = tmp_path_factory.mktemp("sharded") / "data"
    (directory / "config.d").mkdir(parents=True)
    (directory / "config.d" / "cluster.xml").write_text(CONFIG)
    with embedded_clickhouse(directory) as server:
        table = Table(server.url)
        for migration in read_migrations():
            for statement in migration.statements:
                for sql in on_cluster(statement, Cluster("tally", "default")):
                    table.command(alone(sql))
        table.command("SYSTEM STOP MERGES events_local")
        table.close()
        yield server


@pytest.fixture
def settings(sharded: EmbeddedClickHouse) -> ClickHouseSettings:
    return ClickHouseSettings(url=sharded.url, insert_quorum=1)


async def test_the_consumer_finds_what_it_stored(settings: ClickHouseSettings) -> None:
    """Look-ups over the shards know every entry as soon as its insert is answered."""
    store = ClickHouseStore(settings)
    identity = identity_hash(identity_key("t", "x"))
    for version in (7, 5, 9):
        entries = [EventIdEntry(*identity, 3600, "acme", version)]
        await store.insert_event_ids([*entries, EventIdEntry(*identity, 7200, "acme", version)])
    other = identity_hash(identity_key("t", "never"))
    known: dict[tuple[int, int], KnownKeys] = dict(await store.look_up([identity, other]))
    assert known == {identity: {EventKey(3600, "acme"): 9, EventKey(7200, "acme"): 9}}
    await store.close()


async def test_the_query_service_reads_over_the_shards(settings: ClickHouseSettings) -> None:
    """Pages, counts and look-ups are exact, with parts of a single row behind them."""
    table = Table(settings.url)
    moved = Row("q", "moved", at(20))
    table.store_apart(moved, moved._replace(timestamp=at(50), version=2), Row("q", "stays", at(30)))
    gone = Row("q", "gone", at(25))
    table.store_apart(gone, gone.tombstone)
    table.close()
    window = {"start_time": text(at(10)), "end_time": text(at(40))}
    async with serving(Settings(clickhouse=settings)) as api:
        assert await api.listed("q", **window) == ["stays"]
        everything = {"start_time": text(at(-60)), "end_time": text(at(600))}
        assert await api.listed("q", **everything) == ["moved", "stays"]
        assert (await api.look_up("q", "moved")).status == 200
        assert (await api.look_up("q", "gone")).status == 404
        usage = (await api.usage("q", sortBy="eventTimestamp")).body["items"]
        assert [item["customerEventId"] for item in usage] == ["moved", "stays"]
        by_its_id = (await api.usage("q", eventId=usage[0]["id"])).body["items"]
        assert by_its_id == usage[:1]


async def test_the_view_is_exact_over_the_shards(settings: ClickHouseSettings) -> None:
    """An analyst's bounds on the time reach the shards and leave no superseded row standing."""
    table = Table(settings.url)
    moved = Row("v", "moved", NOON)
    table.store_apart(moved, moved._replace(timestamp=at(50), version=2))
    table.close()
    async with connected(settings, wait_s=5) as client:
        sql = "SELECT event_id FROM usage_events WHERE tenant = 'v' AND timestamp {} '{}'"
        bound = "2024-03-20 12:30:00"
        assert (await client.query(sql.format("<", bound))).result_rows == []
        assert (await client.query(sql.format(">", bound))).result_rows == [("moved",)]


async def test_a_migration_that_forgets_the_cluster_is_refused(
    settings: ClickHouseSettings,
) -> None:
    """Tables over a cluster are never migrated as if they were one server's."""
    async with connected(settings, wait_s=5) as client:
        with pytest.raises(OtherTables, match="--cluster"):
            await migrate(client)


def test_the_example_of_a_cluster_is_whole() -> None:
    """The servers' file can be read, copies inserts by replicas, and has the macros of our SQL."""
    directory = Path(migrations.__file__).with_name("cluster")
    servers = ElementTree.parse(directory / "servers.xml").getroot()
    shards = servers.findall("remote_servers/tally/shard")
    assert len(shards) == 2
    assert all(shard.findtext("internal_replication") == "true" for shard in shards)
    assert {macro.tag for macro in servers.findall("macros/*")} == {"shard", "replica"}
    keepers = ElementTree.parse(directory / "keeper.xml").getroot()
    asked = [node.findtext("host") for node in servers.findall("zookeeper/node")]
    there = keepers.findall("keeper_server/raft_configuration/server")
    assert asked == [server.findtext("hostname") for server in there]
