"""What a query that may only read is allowed to say, decided on the engine's own syntax tree.

Rights on tables are the engine's to check, by the connection's role. This is for what its rights
don't cover: giving up the role, other kinds of statements, settings inside of a query (which the
engine does not check in subqueries), functions that read files, and the engine's own tables, which
show other users' queries. No I/O: the engine is asked through a call that is passed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from deploy.embedded.clickhouse.access import Account
from deploy.embedded.clickhouse.errors import RequestError

_REMEMBERED: Final = 1024
_MAY_READ: Final = frozenset(
    {
        *("SelectWithUnionQuery", "SelectIntersectExceptQuery", "DescribeQuery", "Explain"),
        *("ExistsTableQuery", "ExistsViewQuery", "ExistsDatabaseQuery", "ShowTables"),
        *("ShowColumns", "ShowIndexes", "ShowFunctions", "ShowCreateTableQuery"),
        *("ShowCreateViewQuery", "ShowCreateDatabaseQuery"),
    }
)
# What clients look up when they connect or complete names; the engine shows of these what the
# role may see.
_SYSTEM_TABLES: Final = frozenset(
    {
        *("build_options", "collations", "columns", "contributors", "data_type_families"),
        *("databases", "formats", "functions", "keywords", "licenses", "numbers", "one"),
        *("settings", "table_engines", "table_functions", "tables", "time_zones"),
    }
)
_TABLE_FUNCTIONS: Final = frozenset(
    {
        *("numbers", "numbers_mt", "zeros", "zeros_mt", "generateseries", "generate_series"),
        *("values", "null"),
    }
)
# Of a file, a model, another table, or the server's configuration; beside all that look into
# dictionaries.
_FUNCTIONS: Final = frozenset(
    {
        *("file", "catboostevaluate", "joinget", "joingetornull", "hascolumnintable"),
        *("getmacro", "getserversetting", "getmergetreesetting", "showcertificate"),
    }
)
_LINE: Final = re.compile(r"( *)(\w+) ?(.*)")
_LAST_FORMAT: Final = re.compile(r" FORMAT \w+\Z")
_RESOLVED: Final = re.compile(r"\b(function_name|table_name|table_function_name): ([^\s,]+)")

Ask = Callable[[str, Mapping[str, str]], str]


class Gate:
    """Lets queries of restricted accounts through, and remembers those it let through."""

    def __init__(self) -> None:
        self._passed: set[tuple[object, ...]] = set()

    def check(self, sql: bytes, parameters: Mapping[str, str], account: Account, ask: Ask) -> None:
        """Check one statement. Raises RequestError, or what ``ask`` raises.

        ``ask`` runs a query with bound parameters, as the account, and gives its answer as text.
        """
        # Only the value of an identifier can change what a query says.
        named = parameters.items() if b"identifier" in sql.lower() else ()
        key = (account.role, sql, *sorted(named))
        if key in self._passed:
            return
        # As a value, the engine's parser reads it without running it: one statement, or an error.
        query = ask(
            "SELECT formatQuerySingleLine({query:String}) FORMAT TSVRaw",
            {"query": _escaped(sql.decode("utf-8", "surrogateescape"))},
        ).removesuffix("\n")
        # Else it would be the format of what EXPLAIN says, and FORMAT Null would hide it.
        query = _LAST_FORMAT.sub("", query)
        kind = check_syntax(ask(f"EXPLAIN AST {query}", parameters), account)
        if account.home is not None and kind.startswith("Select"):
            check_names(ask(f"EXPLAIN QUERY TREE run_passes = 1 {query}", parameters), account)
        if len(self._passed) >= _REMEMBERED:
            self._passed.clear()
        self._passed.add(key)


def check_syntax(tree: str, account: Account) -> str:
    """Check a statement's tree, as EXPLAIN AST prints it; give its kind. Raises RequestError."""
    lines = [found.groups() for found in map(_LINE.fullmatch, tree.splitlines()) if found]
    _, kind, top = lines[0] if lines else ("", "", "")
    if kind not in _MAY_READ or "TABLE OVERRIDE" in top:
        raise RequestError(
            164, "READONLY", f"{account.name}: Cannot execute query in readonly mode"
        )
    above: list[str] = []
    for indent, node, rest in lines:
        del above[len(indent) :]
        parent = above[-1] if above else ""
        above.append(node)
        name = rest.partition(" ")[0]
        if node == "Set":
            raise RequestError(
                164,
                "READONLY",
                f"{account.name}: SETTINGS are not allowed in a query; send them with the request",
            )
        if node == "Literal" and parent == "SelectWithUnionQuery":
            raise RequestError(
                358, "INTO_OUTFILE_NOT_ALLOWED", "INTO OUTFILE is not allowed: a client's clause"
            )
        # This one does not tell its function. A query's names are checked once more when the
        # engine has resolved them; what it says of an explained query is not.
        if node == "ColumnsApplyTransformer" and (
            account.home is None or not kind.startswith("Select")
        ):
            raise _denied(account, "APPLY")
        # A function may be an argument, without brackets.
        if node == "Function" or (node == "Identifier" and parent == "ExpressionList"):
            _check_function(name, account, is_table=parent == "TableExpression")
        if node in ("TableIdentifier", "Identifier"):
            _check_table(name, account, is_table=node == "TableIdentifier")
    return kind


def check_names(tree: str, account: Account) -> None:
    """Check what the engine resolved a query's names to, as EXPLAIN QUERY TREE prints it.

    Raises RequestError.
    """
    if not tree.startswith(("QUERY id: 0", "UNION id: 0")):
        raise _denied(account, "a query of this kind")
    for kind, name in _RESOLVED.findall(tree):
        if kind == "table_name":
            _check_table(name, account, is_table=True)
        else:
            _check_function(name, account, is_table=kind == "table_function_name")


def _check_function(name: str, account: Account, *, is_table: bool) -> None:
    lower = name.lower()
    forbidden = lower in _FUNCTIONS or lower.startswith("dict")
    if forbidden or (is_table and lower not in _TABLE_FUNCTIONS):
        raise _denied(account, f"function {name}")


def _check_table(name: str, account: Account, *, is_table: bool) -> None:
    if account.home is None:
        return
    database, dot, table = name.partition(".")
    lower = database.lower()
    if lower in ("system", "information_schema"):
        # A column of it may follow, as in system.one.dummy.
        if dot and lower == "system" and table.partition(".")[0] not in _SYSTEM_TABLES:
            raise _denied(account, name)
    elif is_table and dot and database != account.home:
        raise _denied(account, name)


def _denied(account: Account, what: str) -> RequestError:
    readable = "the view usage_events" if account.home is not None else "events and event_ids"
    return RequestError(
        497,
        "ACCESS_DENIED",
        f"{account.name}: Not enough privileges: no access to {what}; this user reads {readable}",
    )


def _escaped(value: str) -> str:
    """Write a value as the protocol carries it: escaped as in TabSeparated."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
