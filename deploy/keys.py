"""`tally keys`: make, rotate, revoke and list the API keys of the stack whose data directory is
here, or whose log is in the Kafka that the environment names.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from functools import partial

import msgspec

from deploy.client import data_directory, find_kafka
from deploy.key_list import as_json_list, as_table
from deploy.key_rotation import revoke_key, rotate_key
from deploy.key_terms import Terms, read_span
from deploy.keys_topic import EmbeddedKeys, KeysTopic, KeysUnavailable
from schemas.keys import KeyRecord, NewKey, make_key


def create(tenant: str, name: str, terms: Callable[..., Terms], *, as_json: bool) -> int:
    """Make a key and print it, alone, on stdout: it is shown this once. Gives the exit status.

    ``terms`` is given the Unix time as ``now_s``, and raises ValueError for options that can't be.
    """
    try:
        made = make_key(tenant, name, **terms(now_s=time.time())._asdict())
        asyncio.run(_topic().append(made.record))
    except (KeysUnavailable, ValueError) as error:
        return _failed(error)
    _print(made, as_json=as_json)
    _say(
        f"made {made.record.key_id} for tenant {tenant}; it counts within seconds, "
        "and it is not shown again"
    )
    return 0


def rotate(key_id: str, overlap: str, *, as_json: bool) -> int:
    """Make the key that follows another, which expires after the overlap; print it as `create`
    does. Gives the exit status.
    """
    try:
        overlap_s = read_span("--overlap", overlap)
        show_it = partial(_print, as_json=as_json)
        made, old = asyncio.run(rotate_key(_topic(), key_id, overlap_s, show_it))
    except (KeysUnavailable, ValueError) as error:
        return _failed(error)
    _say(
        f"made {made.record.key_id} for tenant {old.tenant}; it is not shown again, "
        f"and {key_id} expires at {old.expires_at}"
    )
    return 0


def show(tenant: str | None, *, as_json: bool) -> int:
    """List the keys, without their secrets, which nobody has. Gives the exit status."""

    async def read(topic: KeysTopic) -> tuple[list[KeyRecord], dict[str, float]]:
        return await topic.read(), await topic.last_uses()

    try:
        every, used_s = asyncio.run(read(_topic()))
    except (KeysUnavailable, ValueError) as error:
        return _failed(error)
    keys = [key for key in every if tenant in (None, key.tenant)]
    write = as_json_list if as_json else as_table
    sys.stdout.write(write(keys, used_s, time.time()))
    return 0


def revoke(key_id: str) -> int:
    """Revoke a key by its ID: within seconds every service refuses it. Gives the exit status."""
    try:
        key = asyncio.run(revoke_key(_topic(), key_id))
    except (KeysUnavailable, ValueError) as error:
        return _failed(error)
    _say(f"{key_id} of tenant {key.tenant} is revoked")
    return 0


def _topic() -> KeysTopic:
    """Find the topic. Raises ValueError if there is neither Kafka nor a data directory: a key in
    one that nobody serves would look good and open nothing.
    """
    if kafka := find_kafka():
        from deploy.kafka_log.keys_feed import KafkaKeys

        return KafkaKeys(kafka)
    data = data_directory()
    if not data.is_dir():
        raise ValueError(
            f"there is no data directory {data}: start 'tally up' first, or set TALLY_DATA, or "
            "for Kafka TALLY_KAFKA_BOOTSTRAP_SERVERS"
        )
    return EmbeddedKeys(data / "log")


def _print(made: NewKey, *, as_json: bool) -> None:
    if not as_json:
        sys.stdout.write(made.api_key + "\n")
        return
    answer = {
        "key": made.api_key,
        "key_id": made.record.key_id,
        "tenant": made.record.tenant,
        "expires_at": made.record.expires_at,
        "sequence_id": made.record.key_id,
        "sequence_secret": made.sequence_secret,
    }
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _failed(error: Exception) -> int:
    _say(f"tally keys: {error}")
    return 1
