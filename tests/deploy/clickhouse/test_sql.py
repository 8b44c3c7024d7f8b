"""SQL that only a cluster, or a server with users, can run: the engine's parser reads all of it."""

from __future__ import annotations

import re

import pytest

from deploy.clickhouse import users
from deploy.clickhouse.migrations import Cluster, on_cluster, read_migrations, record_table
from deploy.clickhouse.store import connect
from schemas.clickhouse import ClickHouseSettings
from tests.support.clickhouse import ClickHouse

CLUSTER = Cluster("tally", "usage")
ODD = "o'dd `na\\me"
PLACES = (users.Place("usage"), users.Place("usage", CLUSTER))

TABLES = [
    record_table(CLUSTER),
    *(
        sql
        for migration in read_migrations()
        for statement in migration.statements
        for sql in on_cluster(statement, CLUSTER)
    ),
]
USERS = [
    sql
    for place in PLACES
    for sql in (
        *users.roles(place),
        *users.service_user(place, "tally_reader", "tally_read", ODD),
        *users.analyst(place, "analyst_a.b-c", "a.b-c", ODD),
        *users.analyst(place, "analyst_x", ODD, ODD),
        *users.drop_analyst(place, "analyst_a.b-c"),
    )
]


@pytest.mark.parametrize("sql", [*TABLES, *USERS], ids=lambda sql: " ".join(sql.split()[:6]))
async def test_the_engine_reads_it(server: ClickHouse, sql: str) -> None:
    """Each statement is one that ClickHouse's own parser takes."""
    client = await connect(ClickHouseSettings(url=server.url), wait_s=10)
    try:
        tree = await client.raw_query(f"EXPLAIN AST {sql}", fmt="TSVRaw")
    finally:
        await client.close()
    assert tree


def test_no_password_stands_in_the_sql() -> None:
    """A server writes statements to its logs, so a password never goes there."""
    place = PLACES[0]
    for made in (
        users.service_user(place, "tally_reader", "tally_read", "very-secret"),
        users.analyst(place, "analyst_acme", "acme", "very-secret"),
    ):
        assert not any("very-secret" in sql for sql in made)


@pytest.mark.parametrize("user", ["default", "tally_reader", "analyst_a b", "x"])
def test_only_analysts_are_made_and_dropped_as_such(user: str) -> None:
    """No command for analysts can replace or drop a service's user."""
    with pytest.raises(ValueError, match="begins with 'analyst_'"):
        users.drop_analyst(PLACES[0], user)
    with pytest.raises(ValueError, match="begins with 'analyst_'"):
        users.analyst(PLACES[0], user, "acme", "secret")


def test_a_policy_stands_only_where_the_rows_are() -> None:
    """ClickHouse refuses every read of a Distributed table that has a policy, so none is made."""
    for place, table in zip(PLACES, ("events", "events_local"), strict=True):
        made = users.roles(place) + users.analyst(place, "analyst_acme", "acme", "secret")
        policies = [sql for sql in made if sql.startswith("CREATE ROW POLICY")]
        assert len(policies) == 2
        assert all(f"ON `usage`.{table}\n" in sql for sql in policies)


def test_an_analysts_policy_comes_before_the_rights() -> None:
    """There is no moment in which a new analyst sees every tenant's rows."""
    made = users.analyst(PLACES[0], "analyst_acme", "acme", "secret")
    policy = next(n for n, sql in enumerate(made) if "AS RESTRICTIVE TO `analyst_acme`" in sql)
    grants = [n for n, sql in enumerate(made) if sql.startswith("GRANT")]
    assert "USING tenant = 'acme'" in made[policy]
    assert policy < min(grants)
    assert not any("TO tally_analyst" in sql for sql in users.roles(PLACES[0]))


def test_the_place_is_filled_in_everywhere() -> None:
    """No placeholder is left, and on a cluster every statement says so."""
    assert not any(re.search(r"\{\w+\}", sql) for sql in USERS)
    place = PLACES[1]
    made = users.roles(place) + users.analyst(place, "analyst_acme", "acme", "secret")
    assert all("ON CLUSTER `tally`" in sql for sql in made)
