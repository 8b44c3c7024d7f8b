"""How `tally keys list` shows keys: a table for people, JSON for programs. Never a secret, nor the
hash of one.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Column, Table

from deploy.key_terms import EXPIRED, EXPIRES, REVOKED, state_of
from schemas.key_uses import text_of
from schemas.keys import KeyRecord

_WIDE: Final = 200
_LIMITS: Final = (("events_per_s", "events/s"), ("bytes_per_s", "bytes/s"))


def as_json_list(keys: Sequence[KeyRecord], used_s: Mapping[str, float], now_s: float) -> str:
    """Give a JSON array. ``used_s`` is the Unix time of last use by key ID."""
    rows = [
        {
            "key_id": key.key_id,
            "tenant": key.tenant,
            "name": key.name,
            "scopes": key.scopes,
            "state": state_of(key, now_s),
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "revoked_at": key.revoked_at,
            "events_per_s": key.events_per_s,
            "bytes_per_s": key.bytes_per_s,
            "last_used_at": text_of(used_s[key.key_id]) if key.key_id in used_s else None,
        }
        for key in keys
    ]
    return msgspec.json.encode(rows).decode() + "\n"


def as_table(keys: Sequence[KeyRecord], used_s: Mapping[str, float], now_s: float) -> str:
    """Give a table as wide as the terminal. ``used_s`` is as for `as_json_list`."""
    table = Table(
        Column("key ID", no_wrap=True),
        *("tenant", "name", "scopes", "limits", "created", "last used", "state"),
    )
    for key in keys:
        used = text_of(used_s[key.key_id]) if key.key_id in used_s else None
        table.add_row(
            key.key_id,
            key.tenant,
            key.name,
            ", ".join(key.scopes),
            _limits(key),
            _minute(key.created_at),
            "never" if used is None else _minute(used),
            _state(key, now_s),
        )
    text = io.StringIO()
    # Not on a terminal there is no width to fit into, and whoever reads wants whole words.
    Console(file=text, width=None if sys.stdout.isatty() else _WIDE).print(table)
    return text.getvalue()


def _limits(key: KeyRecord) -> str:
    """Say what a key has of its own; what it has not, the gateway's settings decide."""
    told = []
    for name, unit in _LIMITS:
        limit: float | None = getattr(key, name)
        if limit is not None:
            told.append(f"{limit:g} {unit}" if limit else f"any {unit}")
    return ", ".join(told) or "-"


def _state(key: KeyRecord, now_s: float) -> str:
    state = state_of(key, now_s)
    at = {EXPIRES: key.expires_at, EXPIRED: key.expires_at, REVOKED: key.revoked_at}.get(state)
    return state if at is None else f"{state} {_minute(at)}"


def _minute(moment: str) -> str:
    """Cut a record's time to the minute."""
    return f"{moment[:16]}Z"
