"""One ID, one event: which rows, tombstones and index entries a batch becomes. Pure.

ARCHITECTURE.md, "Resolving by event ID", tells the steps around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from consumer.intake import Identity, Sent
from schemas.tables import EventIdEntry, EventKey, Tombstone, event_row, tombstone_row

# Every key an ID is known under, each with the highest version seen there.
KnownKeys = Mapping[EventKey, int]


class Resolved(NamedTuple):
    """What a batch becomes: lines for ``events``, entries for ``event_ids``."""

    event_lines: list[bytes]
    entries: list[EventIdEntry]


def group_by_identity(batch: Iterable[Sent]) -> dict[Identity, list[Sent]]:
    """Put a batch's sends together by event ID, in the order they came."""
    groups: dict[Identity, list[Sent]] = {}
    for sent in batch:
        group = groups.get(sent.identity)
        if group is None:
            groups[sent.identity] = [sent]
        else:
            group.append(sent)
    return groups


def resolve(groups: Mapping[Identity, list[Sent]], known: Mapping[Identity, KnownKeys]) -> Resolved:
    """Decide what to write for a batch, given what the index knew before it.

    For every ID there is one winner, of the batch or of the index: the highest version, and of
    equal versions the greater key. Every other key the ID has or had gets a tombstone at the
    winner's version, the ones that lost inside the batch too: another consumer may still be
    writing them. The winner's row is written if the batch brought it.
    """
    lines: list[bytes] = []
    entries: list[EventIdEntry] = []
    for identity, group in groups.items():
        keys: dict[EventKey, int] = dict(known.get(identity, ()))
        best = group[0]
        for sent in group:
            if sent.version >= keys.get(sent.key, 0):
                keys[sent.key] = sent.version
            if (sent.version, sent.key) >= (best.version, best.key):
                best = sent
        winner_version, winner_key = _winner(keys)
        if best.version == winner_version and best.key == winner_key:
            lines.append(event_row(best.value, best.version))
        if len(keys) > 1:
            lines += _tombstones(best.record_key, keys, winner_version, winner_key)
        entries += (
            EventIdEntry(*identity, *key, keys[key]) for key in {sent.key for sent in group}
        )
    return Resolved(lines, entries)


def second_look(
    groups: Mapping[Identity, list[Sent]], known: Mapping[Identity, KnownKeys]
) -> list[bytes]:
    """Give the tombstones of the second look, from what the index knows after the batch is in it.

    Two consumers that held one ID in two partitions may each have looked before the other wrote;
    the one that looks last sees both, and hides what lost.
    """
    lines: list[bytes] = []
    for identity, group in groups.items():
        keys = known.get(identity, {})
        if len(keys) > 1:
            lines += _tombstones(group[0].record_key, keys, *_winner(keys))
    return lines


def _winner(keys: KnownKeys) -> tuple[int, EventKey]:
    return max((version, key) for key, version in keys.items())


def _tombstones(
    record_key: bytes, keys: KnownKeys, winner_version: int, winner_key: EventKey
) -> list[bytes]:
    tenant, _, event_id = record_key.decode().partition("\0")
    return [
        tombstone_row(
            Tombstone(
                tenant=tenant,
                event_id=event_id,
                external_customer_id=key.customer,
                timestamp=key.hour,
                version=winner_version,
            )
        )
        for key in keys
        if key != winner_key
    ]
