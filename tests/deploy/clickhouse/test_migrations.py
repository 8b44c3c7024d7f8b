"""The numbered SQL files as statements, for one server and for a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.clickhouse.migrations import (
    Cluster,
    Migration,
    NewerTables,
    Statement,
    on_cluster,
    pending,
    read_migrations,
    record_table,
)

pytestmark = pytest.mark.unit

CLUSTER = Cluster("tally", "usage")


def test_ours_are_numbered_without_gaps() -> None:
    """Migrations are applied in the order of their numbers, which count from 1."""
    migrations = read_migrations()
    assert [migration.number for migration in migrations] == list(range(1, len(migrations) + 1))
    assert all(migration.statements for migration in migrations)


def test_ours_can_be_repeated() -> None:
    """Every statement may run again, so a migration that was cut in the middle is repeated."""
    for migration in read_migrations():
        for statement in migration.statements:
            assert " IF NOT EXISTS " in statement.sql.splitlines()[0]


def test_comments_and_semicolons_in_the_middle_of_a_line(tmp_path: Path) -> None:
    """A statement ends where a line ends in ';', and comments are left out."""
    (tmp_path / "0002_second.sql").write_text("SELECT 3;")
    (tmp_path / "0001_first.sql").write_text("-- why; because\nSELECT ';' AS a,\n 1;\n\nSELECT 2")
    (tmp_path / "notes.sql").write_text("SELECT 'not numbered'")
    first, second = read_migrations(tmp_path)
    assert (first.number, first.name, first.title) == (1, "first", "0001_first")
    assert first.statements == (Statement("SELECT ';' AS a,\n 1"), Statement("SELECT 2"))
    assert second.statements == (Statement("SELECT 3"),)


def test_a_number_from_a_newer_version_is_refused() -> None:
    """Tables that a newer version migrated are left alone, with words that say so."""
    ours = [Migration(1, "a", ()), Migration(2, "b", ())]
    assert pending(ours, [1, 1]) == ours[1:]
    assert pending(ours, []) == ours
    with pytest.raises(NewerTables, match=r"migration 3 .* up to 2: these tables are newer"):
        pending(ours, [1, 2, 3])


def test_a_table_becomes_a_replicated_and_a_distributed_one() -> None:
    """The services' name is that of the table over all shards; everything else stays."""
    table = "CREATE TABLE IF NOT EXISTS t\n(\n    a UInt64\n)\n"
    one = f"{table}ENGINE = ReplacingMergeTree(v, d)\nORDER BY a"
    local, over_all = on_cluster(Statement(one, "sipHash64(a)"), CLUSTER)
    assert local == (
        "CREATE TABLE IF NOT EXISTS `usage`.t_local ON CLUSTER `tally`\n(\n    a UInt64\n)\n"
        "ENGINE = ReplicatedReplacingMergeTree("
        "'/clickhouse/tables/{shard}/{database}/t_local', '{replica}', v, d)\nORDER BY a"
    )
    assert over_all == (
        "CREATE TABLE IF NOT EXISTS `usage`.t ON CLUSTER `tally` AS `usage`.t_local "
        "ENGINE = Distributed('tally', 'usage', t_local, sipHash64(a))"
    )


def test_a_view_is_made_on_every_server() -> None:
    """A view needs no copy of its own, and reads the table over all shards."""
    view = Statement("CREATE VIEW IF NOT EXISTS v AS\nSELECT 1")
    assert on_cluster(view, CLUSTER) == (
        "CREATE VIEW IF NOT EXISTS `usage`.v ON CLUSTER `tally` AS\nSELECT 1",
    )


def test_a_new_column_goes_where_the_rows_are_first() -> None:
    """The table over all shards names a column only when each of them has it."""
    column = "ADD COLUMN IF NOT EXISTS b UInt8 ALIAS a + 1"
    assert on_cluster(Statement(f"ALTER TABLE t {column}"), CLUSTER) == (
        f"ALTER TABLE `usage`.t_local ON CLUSTER `tally` {column}",
        f"ALTER TABLE `usage`.t ON CLUSTER `tally` {column}",
    )


@pytest.mark.parametrize(
    "statement",
    [
        Statement("ALTER TABLE t ADD COLUMN b UInt8"),
        Statement("CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = MergeTree ORDER BY a"),
        Statement("CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = Memory", "a"),
    ],
)
def test_what_nobody_thought_of_on_a_cluster_is_refused(statement: Statement) -> None:
    """A kind of statement without a rule, or a table without a sharding key, is never guessed."""
    with pytest.raises(ValueError, match=r"cluster|engines"):
        on_cluster(statement, CLUSTER)


@pytest.mark.parametrize("name", ["", "a'b", "{cluster}", "a b"])
def test_a_name_that_is_no_cluster_is_refused(name: str) -> None:
    """The name stands in SQL, so it is held to what a cluster can be called."""
    with pytest.raises(ValueError, match="use letters"):
        on_cluster(Statement("CREATE VIEW IF NOT EXISTS v AS SELECT 1"), Cluster(name, "d"))


def test_ours_have_a_form_for_a_cluster() -> None:
    """Every statement has one, with all rows of an ID on one shard, and no placeholder left."""
    made = [
        sql
        for migration in read_migrations()
        for statement in migration.statements
        for sql in on_cluster(statement, CLUSTER)
    ]
    assert all(" ON CLUSTER `tally`" in sql for sql in [*made, record_table(CLUSTER)])
    assert not any("TABLE_NAME" in sql for sql in made)
    assert [sql.rpartition("local, ")[2] for sql in made if "= Distributed(" in sql] == [
        "sipHash64(tenant, event_id))",
        "h1)",
    ]
