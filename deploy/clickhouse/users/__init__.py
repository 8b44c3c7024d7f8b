"""Who may do what in ClickHouse, as SQL: the templates beside this file, filled in. Pure."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from deploy.clickhouse.migrations import Cluster, quoted, read_statements, text

ANALYST_PREFIX: Final = "analyst_"
# Of ``usage_events``, in 0002_usage_events.sql.
VIEW_COLUMNS: Final = (
    *("tenant", "event_id", "event_name", "external_customer_id", "customer_id", "source"),
    *("timestamp", "properties"),
)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


class Place(NamedTuple):
    """The database of the tables, and the cluster that they are spread over, if any."""

    database: str
    cluster: Cluster | None = None

    def values(self) -> dict[str, str]:
        """Give what every template's placeholders stand for."""
        where = f"ON CLUSTER {quoted(self.cluster.name)}" if self.cluster else ""
        here = "events_local" if self.cluster else "events"
        return {"database": quoted(self.database), "on_cluster": where, "events_here": here}


def roles(place: Place) -> list[str]:
    """Make the roles ``tally_write``, ``tally_read`` and ``tally_analyst``. Running it again
    mends what was changed.
    """
    return _filled("roles", place.values())


def service_user(place: Place, user: str, role: str, password: str) -> list[str]:
    """Make a user of a service, or give it this password; its database is that of the tables."""
    more = {"user": quoted(user), "role": quoted(role)}
    return _filled("user", place.values() | more | _password(password))


def analyst(place: Place, user: str, tenant: str, password: str) -> list[str]:
    """Make a user who may read one tenant's events and nothing else, in place of one that had
    this name. Needs `roles`. Raises ValueError for a name that can't be an analyst's.
    """
    more = {
        "user": quoted(checked_name(user)),
        "tenant": text(tenant),
        "columns": ", ".join(VIEW_COLUMNS),
    }
    # Whoever had this name before may have been another tenant's.
    return [
        *drop_analyst(place, user),
        *_filled("analyst", place.values() | more | _password(password)),
    ]


def drop_analyst(place: Place, user: str) -> list[str]:
    """Take a user away. Raises ValueError for a name that can't be an analyst's."""
    return _filled("drop_analyst", place.values() | {"user": quoted(checked_name(user))})


def checked_name(user: str) -> str:
    """Give back an analyst's name. Raises ValueError if it is none, so that no command for
    analysts can change or drop another user.
    """
    if not user.startswith(ANALYST_PREFIX) or not _NAME.fullmatch(user):
        raise ValueError(
            f"user {user!r}: an analyst's name begins with {ANALYST_PREFIX!r} and has at most 80 "
            "letters, digits, '.', '_' or '-'"
        )
    return user


def _password(password: str) -> dict[str, str]:
    # Salted and hashed here: the password itself stands in no log of a server.
    salt = secrets.token_hex(16)
    digest = hashlib.sha256((password + salt).encode()).hexdigest().upper()
    return {"hash": text(digest), "salt": text(salt)}


def _filled(template: str, values: Mapping[str, str]) -> list[str]:
    source = Path(__file__).with_name(f"{template}.sql").read_text()
    return [
        _PLACEHOLDER.sub(lambda found: values[found[1]], statement.sql)
        for statement in read_statements(source)
    ]
