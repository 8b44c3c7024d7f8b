"""Who may do what here: the engine's own roles and row policies, and the accounts that use them.

The engine as a library knows one user, ``default``, and reads its rights from a file when it
starts. So the file gives that user roles, of which a connection keeps one; and since analysts come
and go while it runs, it has a number of places for tenants, each with a role, a database and a
user whose row policy looks up the place's tenant (`tenant_statements` fills a place). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from deploy.clickhouse.migrations import text
from deploy.clickhouse.users import VIEW_COLUMNS

CONFIG_FILE: Final = "config.xml"
USERS_FILE: Final = "users.xml"
READER: Final = "tally_reader"
TENANT_PLACES: Final = 64

# Bounds on settings that a request may lower: what it sends above, or as 0, becomes the bound.
_READER_BOUNDS: Final = {
    "max_execution_time": 300,
    "max_memory_usage": 16 << 30,
    "max_rows_to_read": 10_000_000_000,
}
_ANALYST_BOUNDS: Final = {
    "max_execution_time": 60,
    "max_memory_usage": 4 << 30,
    "max_rows_to_read": 1_000_000_000,
}
# The cache remembers which granules hold no match of a condition, and here conditions see one
# tenant's rows; another dialect would read the query otherwise than the gate has.
_PINNED: Final = {"use_query_condition_cache": "0", "dialect": "clickhouse"}
# A setting can name a file for the server to read or write, or another grammar for the query.
_ANALYST_SETTINGS: Final = re.compile(
    r"max_\w+|output_format_(?!schema)\w+|format_(csv|tsv)_\w+|date_time_(in|out)put_format|join_\w+"
    r"|group_by_\w+|\w+_overflow_mode|session_timezone|extremes|limit|offset|log_comment"
    r"|cast_string_to_\w+"  # clickhouse-connect sends one with every query
)


class Account(NamedTuple):
    """``role`` is the one a connection keeps, None for all; ``home`` the only database, None for
    any. ``bounds`` are on settings.
    """

    name: str
    role: str | None = None
    home: str | None = None
    bounds: Mapping[str, int] = {}

    @property
    def is_restricted(self) -> bool:
        """Whether it may only read."""
        return self.role is not None

    def refused_setting(self, settings: Mapping[str, str]) -> str | None:
        """Give a setting that this account may not send, if it sent one."""
        if self.home is None:
            return None
        return next((name for name in settings if not _ANALYST_SETTINGS.fullmatch(name)), None)

    def bounded(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Give the settings with none above its bound. An account's reads are never writes."""
        kept = {name: value for name, value in settings.items() if name != "readonly"}
        return (
            kept
            | {name: _lower(kept.get(name), bound) for name, bound in self.bounds.items()}
            | (_PINNED if self.is_restricted else {})
        )


DEFAULT: Final = Account("default")
READER_ACCOUNT: Final = Account(READER, role=READER, bounds=_READER_BOUNDS)


def analyst_account(name: str, place: int) -> Account:
    """Give the account of an analyst whose tenant has this place."""
    return Account(name, role=_place(place), home=_place(place), bounds=_ANALYST_BOUNDS)


def tenant_statements(place: int, tenant: str) -> list[str]:
    """Make the SQL that gives a place to a tenant. The view reads as the place's own user, whose
    row policy is the engine's first filter, before any condition of a query sees a row.
    """
    name, tenant = _place(place), text(tenant)
    owned = f"tenant = {tenant}"
    view = f"{name}.usage_events DEFINER = {name} SQL SECURITY DEFINER"
    return [
        f"CREATE DATABASE IF NOT EXISTS {name}",
        f"CREATE OR REPLACE VIEW {name}.owner AS SELECT {tenant} AS tenant",
        f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM default.usage_events WHERE {owned}",
    ]


def config_xml() -> str:
    """Make the engine's configuration file, which it finds in its working directory."""
    return (
        "<!-- Written at each start. Additions go into config.d/. -->\n"
        f"<clickhouse>\n  <users_config>{USERS_FILE}</users_config>\n</clickhouse>\n"
    )


def users_xml() -> str:
    """Make the file of users and roles, which the engine reads once."""
    places = range(TENANT_PLACES)
    roles = {
        "tally_admin": "GRANT ALL ON *.* WITH GRANT OPTION",
        READER: "GRANT SELECT ON default.*",
        **{_place(n): f"GRANT SELECT ON {_place(n)}.usage_events" for n in places},
    }
    role_elements = "".join(
        f"    <{name}><grants><query>{grant}</query></grants></{name}>\n"
        for name, grant in roles.items()
    )
    users = _user("default", [f"GRANT {', '.join(roles)}"]) + "".join(map(_definer, places))
    return (
        "<clickhouse>\n  <profiles><default/></profiles>\n  <quotas><default/></quotas>\n"
        f"  <roles>\n{role_elements}  </roles>\n  <users>\n{users}  </users>\n</clickhouse>\n"
    )


def _definer(place: int) -> str:
    name = _place(place)
    grants = [
        "GRANT SELECT ON default.usage_events",
        f"GRANT SELECT({', '.join(VIEW_COLUMNS)}) ON default.events",
        f"GRANT SELECT ON {name}.owner",
    ]
    policy = f"tenant IN (SELECT tenant FROM {name}.owner)"
    return _user(
        name,
        grants,
        f"<databases><default><events><filter>{policy}</filter></events></default></databases>",
    )


def _user(name: str, grants: list[str], more: str = "") -> str:
    queries = "".join(f"<query>{grant}</query>" for grant in grants)
    return (
        f"    <{name}><password></password><networks><ip>::/0</ip></networks>"
        "<profile>default</profile><quota>default</quota>"
        f"<grants>{queries}</grants>{more}</{name}>\n"
    )


def _place(number: int) -> str:
    return f"tally_tenant_{number}"


def _lower(asked: str | None, bound: int) -> str:
    try:
        value = float(asked or 0)
    except ValueError:
        return str(bound)
    return str(asked) if 0 < value <= bound else str(bound)
