"""Rotating a key, also while somebody revokes it, over the embedded log's topic."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from deploy.embedded.log.keys import append_key
from deploy.key_rotation import known, revoke_key, rotate_key
from deploy.key_terms import term_s
from deploy.keys_topic import EmbeddedKeys
from schemas.errors import ApiError
from schemas.key_uses import seconds_of
from schemas.keys import INGEST, KeyRecord, KeyRing, NewKey, make_key

DAY_S = 86_400.0


class RevokedBefore(EmbeddedKeys):
    """The topic, where another command line revokes a key just before the append of this number:
    after everything that the writer of that append has read.
    """

    def __init__(self, directory: Path, revoke: KeyRecord, before: int) -> None:
        super().__init__(directory)
        self._other = EmbeddedKeys(directory)
        self._revoke = revoke
        self._left = before

    async def append(self, record: KeyRecord) -> KeyRecord:
        self._left -= 1
        if self._left == 0:
            await revoke_key(self._other, self._revoke.key_id)
        return await super().append(record)


async def ring_of(topic: EmbeddedKeys) -> KeyRing:
    ring = KeyRing()
    for record in await topic.read():
        ring.apply(record)
    return ring


def opens(ring: KeyRing, made: NewKey) -> bool:
    try:
        ring.caller_of({"x-api-key": made.api_key}, INGEST)
    except ApiError:
        return False
    return True


@pytest.mark.parametrize("before", [1, 2])
async def test_a_key_revoked_during_its_rotation_stays_revoked(tmp_path: Path, before: int) -> None:
    """Between any two steps of the rotation; the new key, made by then, counts no more either, and
    the error says so.
    """
    old = make_key("acme", "")
    await EmbeddedKeys(tmp_path).append(old.record)
    topic = RevokedBefore(tmp_path, old.record, before)
    shown: list[NewKey] = []
    with pytest.raises(ValueError, match=f"{old.record.key_id} was revoked meanwhile.*as well"):
        await rotate_key(topic, old.record.key_id, DAY_S, shown.append)
    ring = await ring_of(topic)
    assert not opens(ring, old)
    (new,) = shown
    assert not opens(ring, new)
    assert (await known(topic, old.record.key_id)).revoked_at is not None


async def test_a_key_revoked_while_the_new_one_is_shown_stays_revoked(tmp_path: Path) -> None:
    """The longest of all moments: a person reads the new key."""
    topic, old = EmbeddedKeys(tmp_path), make_key("acme", "")
    await topic.append(old.record)
    revoked = msgspec.structs.replace(old.record, revoked_at="2026-01-01T00:00:00Z")

    def show(_: NewKey) -> None:
        append_key(tmp_path, revoked)

    with pytest.raises(ValueError, match="revoked meanwhile"):
        await rotate_key(topic, old.record.key_id, DAY_S, show)
    assert await known(topic, old.record.key_id) == revoked


async def test_a_key_revoked_after_its_rotation_is_revoked(tmp_path: Path) -> None:
    """The other order: its expiry stays, the revocation comes on top, and the new key counts."""
    topic, old = EmbeddedKeys(tmp_path), make_key("acme", "")
    await topic.append(old.record)
    new, retired = await rotate_key(topic, old.record.key_id, DAY_S, lambda _: None)
    assert retired.expires_at is not None
    assert opens(await ring_of(topic), old)
    await revoke_key(topic, old.record.key_id)
    ring = await ring_of(topic)
    assert (opens(ring, old), opens(ring, new)) == (False, True)


@pytest.mark.parametrize("given", [None, "2126-01-01T00:00:00Z"])
async def test_a_key_that_was_rotated_has_a_successor_like_itself(
    tmp_path: Path, given: str | None
) -> None:
    """What a rotation has left of a key's life is not what the key was given: its next successor
    lives as long as the first.
    """
    topic, old = EmbeddedKeys(tmp_path), make_key("acme", "", expires_at=given)
    await topic.append(old.record)
    for overlap_s in (DAY_S, DAY_S / 2):
        new, retired = await rotate_key(topic, old.record.key_id, overlap_s, lambda _: None)
        assert retired.expires_at is not None
        left_s = seconds_of(retired.expires_at) - seconds_of(old.record.created_at)
        assert abs(left_s - overlap_s) < 10
        assert term_s(new.record) == pytest.approx(term_s(old.record), abs=10)
        assert (new.record.expires_at is None) == (given is None)


def two_records(made: NewKey) -> tuple[KeyRecord, KeyRecord]:
    """A revocation, and what whoever did not know of it wrote."""
    replace: Callable[..., KeyRecord] = msgspec.structs.replace
    return (
        replace(made.record, revoked_at="2026-01-01T00:00:00Z"),
        replace(made.record, expires_at="2126-01-01T00:00:00Z"),
    )


@pytest.mark.parametrize("in_order", [True, False])
async def test_no_order_of_records_takes_a_revocation_back(tmp_path: Path, in_order: bool) -> None:
    """Neither in the topic nor in a service's ring, by key or by Sequence's secret."""
    made = make_key("acme", "")
    records = two_records(made)[:: 1 if in_order else -1]
    topic, ring = EmbeddedKeys(tmp_path), KeyRing()
    for record in (made.record, *records):
        stands = await topic.append(record)
        ring.apply(record)
    assert stands == await known(topic, made.record.key_id)
    assert stands.revoked_at == "2026-01-01T00:00:00Z"
    assert not opens(ring, made)
    pair = base64.b64encode(f"{made.record.key_id}:{made.sequence_secret}".encode()).decode()
    with pytest.raises(ApiError, match="revoked"):
        ring.caller_of({"Authorization": f"Basic {pair}"}, INGEST)
