"""How a key is followed by another without a gap, and without undoing a revocation."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from deploy.key_terms import EXPIRED, REVOKED, renewed, retired, state_of, term_s
from deploy.keys_topic import KeysTopic, KeysUnavailable
from schemas.keys import KeyRecord, NewKey, make_key, now_text


async def known(topic: KeysTopic, key_id: str) -> KeyRecord:
    """Give a key's record as it stands. Raises ValueError for an unknown key, KeysUnavailable."""
    for key in await topic.read():
        if key.key_id == key_id:
            return key
    raise ValueError(f"there is no key {key_id!r}; 'tally keys list' shows their IDs")


async def revoke_key(topic: KeysTopic, key_id: str) -> KeyRecord:
    """Revoke a key, for ever. Raises ValueError for an unknown key, KeysUnavailable."""
    key = await known(topic, key_id)
    if key.revoked_at is None:
        key = await topic.append(msgspec.structs.replace(key, revoked_at=now_text()))
    return key


async def rotate_key(
    topic: KeysTopic, key_id: str, overlap_s: float, show: Callable[[NewKey], None]
) -> tuple[NewKey, KeyRecord]:
    """Make the key that follows another, and let that one expire after the overlap; give both.

    ``show`` is given the new key before the old one is touched: whatever fails from there on, both
    count. Raises ValueError for a key that is unknown, expired or revoked; KeysUnavailable, which
    says if the old key goes on as before.
    """
    key = await known(topic, key_id)
    state = state_of(key, time.time())
    if state in (EXPIRED, REVOKED):
        raise ValueError(
            f"{key_id} is {state}: nothing to rotate; make one with 'tally keys create'"
        )
    made = make_key(key.tenant, key.name, **renewed(key, time.time())._asdict())
    await topic.append(made.record)
    show(made)
    try:
        # Read again, since somebody may have revoked it meanwhile; if that comes between here and
        # the append, the topic keeps it, and what stands tells.
        key = await known(topic, key_id)
        if key.revoked_at is None:
            expires_at = retired(key, overlap_s, time.time())
            old = msgspec.structs.replace(key, expires_at=expires_at, term_s=term_s(key))
            key = await topic.append(old)
    except KeysUnavailable as error:
        raise KeysUnavailable(
            f"made {made.record.key_id}, but {key_id} may go on as before: {error}"
        ) from error
    if key.revoked_at is not None:
        await _take_back(topic, made, key_id)
    return made, key


async def _take_back(topic: KeysTopic, made: NewKey, key_id: str) -> None:
    """Revoke the new key as well: whoever revoked the old one wants no successor of it to count.

    Raises ValueError, which says so, or KeysUnavailable.
    """
    new_id = made.record.key_id
    try:
        await revoke_key(topic, new_id)
    except KeysUnavailable as error:
        raise KeysUnavailable(
            f"{key_id} was revoked meanwhile, and the new {new_id} counts still: "
            f"run 'tally keys revoke {new_id}': {error}"
        ) from error
    raise ValueError(
        f"{key_id} was revoked meanwhile: the key printed above, {new_id}, is revoked as well"
    )
