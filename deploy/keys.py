"""`tally keys`: make, list and revoke the API keys of the stack whose data directory is here, or
whose log is in the Kafka that the environment names.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec
from rich.console import Console
from rich.table import Column, Table

from deploy.client import data_directory, find_kafka
from deploy.keys_topic import EmbeddedKeys, KeysTopic, KeysUnavailable
from schemas.keys import KeyRecord, make_key, now_text

_WIDE = 200


def create(tenant: str, name: str, *, as_json: bool) -> int:
    """Make a key and print it, alone, on stdout: it is shown this once. Gives the exit status."""
    try:
        made = make_key(tenant, name)
        asyncio.run(_topic().append(made.record))
    except (KeysUnavailable, ValueError) as error:
        return _failed(error)
    if as_json:
        answer = {
            "key": made.api_key,
            "key_id": made.record.key_id,
            "tenant": tenant,
            "sequence_id": made.record.key_id,
            "sequence_secret": made.sequence_secret,
        }
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    else:
        sys.stdout.write(made.api_key + "\n")
    sys.stderr.write(
        f"made {made.record.key_id} for tenant {tenant}; it counts within seconds, "
        "and it is not shown again\n"
    )
    return 0


def show(tenant: str | None, *, as_json: bool) -> int:
    """List the keys, without their secrets, which nobody has. Gives the exit status."""
    try:
        keys = [key for key in asyncio.run(_topic().read()) if tenant in (None, key.tenant)]
    except (KeysUnavailable, ValueError) as error:
        return _failed(error)
    if as_json:
        sys.stdout.write(msgspec.json.encode([_public(key) for key in keys]).decode() + "\n")
        return 0
    table = Table(Column("key ID", no_wrap=True), "tenant", "name", "scopes", "created", "state")
    for key in keys:
        table.add_row(
            key.key_id, key.tenant, key.name, ", ".join(key.scopes), key.created_at, _state(key)
        )
    # Not on a terminal there is no width to fit into, and whoever reads wants whole words.
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)
    return 0


def revoke(key_id: str) -> int:
    """Revoke a key by its ID: within seconds every service refuses it. Gives the exit status."""
    try:
        key = asyncio.run(_revoke(_topic(), key_id))
    except (KeysUnavailable, ValueError) as error:
        return _failed(error)
    sys.stderr.write(f"{key_id} of tenant {key.tenant} is revoked\n")
    return 0


async def _revoke(topic: KeysTopic, key_id: str) -> KeyRecord:
    """Raises ValueError for an unknown key, KeysUnavailable."""
    keys = {key.key_id: key for key in await topic.read()}
    key = keys.get(key_id)
    if key is None:
        raise ValueError(f"there is no key {key_id!r}; 'tally keys list' shows their IDs")
    if key.revoked_at is None:
        await topic.append(msgspec.structs.replace(key, revoked_at=now_text()))
    return key


def _public(key: KeyRecord) -> dict[str, object]:
    return {
        "key_id": key.key_id,
        "tenant": key.tenant,
        "name": key.name,
        "scopes": key.scopes,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }


def _state(key: KeyRecord) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at}"
    return "good" if key.expires_at is None else f"until {key.expires_at}"


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


def _failed(error: Exception) -> int:
    sys.stderr.write(f"tally keys: {error}\n")
    return 1
