"""The tables as the consumer writes and the query service reads them.

``deploy/clickhouse/*.sql`` creates them; this file knows their names, columns and rows.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

EVENTS: Final = "events"
EVENT_IDS: Final = "event_ids"

# Every insert sends these. A batch is one block, hence at most one part a day: an event and the
# tombstones of what it supersedes show up together. A field without a column is refused: a table
# that a migration has yet to reach must not lose it without a word.
INSERT_SETTINGS: Final[dict[str, str]] = {
    "async_insert": "0",
    "date_time_input_format": "best_effort",
    "input_format_json_read_objects_as_strings": "1",
    "input_format_parallel_parsing": "0",
    "input_format_skip_unknown_fields": "0",
    "max_insert_block_size": "1048576",
    "max_partitions_per_insert_block": "0",
}

# Every read sends these: exactness hangs on them (ARCHITECTURE.md, "The tables").
READ_SETTINGS: Final[dict[str, str]] = {
    "apply_prewhere_after_final": "0",
    "do_not_merge_across_partitions_select_final": "1",
    "optimize_move_to_prewhere_if_final": "0",
    "use_skip_indexes_if_final_exact_mode": "1",
}


class EventKey(NamedTuple):
    """Where a row of an event stands, beside its ID: the start of its hour (seconds since 1970,
    UTC) and its customer. A row and the tombstone that hides it share tenant, ID and key.
    """

    hour: int
    customer: str


class Tombstone(msgspec.Struct, gc=False):
    """A row of ``events`` that hides the row of the same key with a lower or equal version."""

    tenant: str
    event_id: str
    external_customer_id: str
    timestamp: int
    version: int
    is_deleted: int = 1
    event_name: str = ""
    properties: msgspec.Raw = msgspec.Raw(b"{}")


class EventIdEntry(NamedTuple):
    """A row of ``event_ids``: a key that an ID had, and the highest version seen there."""

    h1: int
    h2: int
    hour: int
    customer: str
    version: int


EVENT_ID_COLUMNS: Final = EventIdEntry._fields

_encoder = msgspec.json.Encoder()


def event_row(value: bytes, version: int) -> bytes:
    """Make a JSONEachRow line of ``events``: the record's value, with its version spliced in."""
    return b'{"version":%d,%b\n' % (version, value[1:])


def tombstone_row(tombstone: Tombstone) -> bytes:
    """Make a JSONEachRow line of ``events``."""
    return _encoder.encode(tombstone) + b"\n"


def event_id_row(entry: EventIdEntry) -> bytes:
    """Make a JSONCompactEachRow line of ``event_ids``."""
    return _encoder.encode(entry) + b"\n"
