"""The numbered SQL files beside this one, as statements for one server or for a cluster."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

# A comment before CREATE TABLE; on one server it says nothing, so the files run as they are.
_SHARDED_BY: Final = re.compile(r"^\s*-- On a cluster, sharded by: (.+)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"^\s*--.*$", re.MULTILINE)
_TABLE: Final = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)")
_COLUMN: Final = re.compile(r"ALTER TABLE (\w+) (?=ADD COLUMN IF NOT EXISTS )")
_VIEW: Final = re.compile(r"CREATE VIEW IF NOT EXISTS (\w+)")
_ENGINE: Final = re.compile(r"ENGINE = (\w*MergeTree)(?:\(([^()]*)\))?")
_CLUSTER_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class Statement(NamedTuple):
    """One statement as it runs on one server; ``shard_by`` is its table's sharding key, or ""."""

    sql: str
    shard_by: str = ""


class Migration(NamedTuple):
    """One file: applied whole, once, in the order of the numbers. Each of its statements may be
    run again, since a crash may leave it half applied.
    """

    number: int
    name: str
    statements: tuple[Statement, ...]

    @property
    def title(self) -> str:
        """The file's name, without its ending."""
        return f"{self.number:04}_{self.name}"


class Cluster(NamedTuple):
    """``name`` is that of the servers' ``remote_servers``, ``database`` where the tables are."""

    name: str
    database: str


class NewerTables(Exception):  # noqa: N818 (names the condition)
    """A newer version of this program has migrated these tables."""


def read_migrations(directory: Path = Path(__file__).parent) -> list[Migration]:
    """Read the files ``NNNN_name.sql`` in order. A ';' ends a statement at the end of a line."""
    return [_read(path) for path in sorted(directory.glob("[0-9][0-9][0-9][0-9]_*.sql"))]


def read_statements(source: str) -> tuple[Statement, ...]:
    """Split SQL at every ';' that ends a line, and leave the comments out."""
    parts = re.split(r";\s*$", source, flags=re.MULTILINE)
    return tuple(
        Statement(sql, found[1].strip() if (found := _SHARDED_BY.search(part)) else "")
        for part in parts
        if (sql := _COMMENT.sub("", part).strip())
    )


def pending(migrations: Sequence[Migration], applied: Iterable[int]) -> list[Migration]:
    """Give those not yet applied. Raises NewerTables if one was that is not among them."""
    done = set(applied)
    unknown = done - {migration.number for migration in migrations}
    if unknown:
        raise NewerTables(
            f"migration {max(unknown)} is applied, and this version of Tally knows only those up "
            f"to {migrations[-1].number}: these tables are newer; install the version that "
            "migrated them, or a later one"
        )
    return [migration for migration in migrations if migration.number not in done]


def record_table(cluster: Cluster | None) -> str:
    """Make the statement that creates the record of what was applied, for a cluster one copy on
    every server. Two runs at once may both record a number; merges drop the second.
    """
    where = engine = ""
    name = "tally_migrations"
    if cluster is not None:
        name, where = f"{quoted(cluster.database)}.{name}", f" ON CLUSTER {quoted(cluster.name)}"
        engine = "'/clickhouse/tables/{database}/tally_migrations', '{shard}_{replica}', "
    return (
        f"CREATE TABLE IF NOT EXISTS {name}{where}\n"
        "(\n    number     UInt32,\n    name       String,\n"
        "    applied_at DateTime('UTC') DEFAULT now()\n)\n"
        f"ENGINE = {'Replicated' if cluster else ''}ReplacingMergeTree({engine}applied_at)\n"
        "ORDER BY number"
    )


def on_cluster(statement: Statement, cluster: Cluster) -> tuple[str, ...]:
    """Make of a statement for one server those that do the same on every server of a cluster.

    A table becomes NAME_local, replicated within its shard, and a table NAME over all shards; a new
    column goes into both, where the rows are first. The servers' macros must have ``shard`` and
    ``replica``. Raises ValueError for a statement of another kind, and for a cluster's name that
    is none.
    """
    if not _CLUSTER_NAME.fullmatch(cluster.name):
        raise ValueError(f"cluster {cluster.name!r}: use letters, digits, '_' and '-'")
    sql, database = statement.sql, quoted(cluster.database)
    where = f"ON CLUSTER {quoted(cluster.name)}"
    if found := _VIEW.match(sql):
        return (f"CREATE VIEW IF NOT EXISTS {database}.{found[1]} {where}{sql[found.end() :]}",)
    if found := _COLUMN.match(sql):
        return tuple(
            f"ALTER TABLE {database}.{name} {where} {sql[found.end() :]}"
            for name in (f"{found[1]}_local", found[1])
        )
    found = _TABLE.match(sql)
    if found is None or not statement.shard_by:
        raise ValueError(f"no way is known to do this on a cluster: {sql.splitlines()[0]}")
    name, local = found[1], f"{found[1]}_local"
    body, engines = _ENGINE.subn(_replicated, sql[found.end() :])
    if engines != 1:
        raise ValueError(f"table {name} has {engines} engines that can be replicated, not one")
    body = body.replace("TABLE_NAME", local)
    shards = ", ".join((text(cluster.name), text(cluster.database), local, statement.shard_by))
    over_all = f"CREATE TABLE IF NOT EXISTS {database}.{name} {where} AS {database}.{local}"
    return (
        f"CREATE TABLE IF NOT EXISTS {database}.{local} {where}{body}",
        f"{over_all} ENGINE = Distributed({shards})",
    )


def _replicated(engine: re.Match[str]) -> str:
    path = "'/clickhouse/tables/{shard}/{database}/TABLE_NAME', '{replica}'"
    return f"ENGINE = Replicated{engine[1]}({', '.join(filter(None, (path, engine[2])))})"


def _read(path: Path) -> Migration:
    number, _, name = path.stem.partition("_")
    return Migration(int(number), name, read_statements(path.read_text()))


def quoted(name: str) -> str:
    """Write a name as an identifier."""
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def text(value: str) -> str:
    """Write a value as a string literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
