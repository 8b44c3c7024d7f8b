"""``client.env``: what a program on this machine needs to talk to the stack."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Final

from deploy.client import CLIENT_FILE, read_client_file
from deploy.key_terms import EXPIRES, GOOD, state_of
from deploy.keys_topic import KeysTopic
from schemas.keys import hash_secret, make_key

FIRST_TENANT: Final = "default"

_SAFE_VALUE = re.compile(r"[A-Za-z0-9._~:/@,-]*")


def write_client_file(path: Path, values: dict[str, str]) -> None:
    """Write the file whole or not at all, readable by its owner only."""
    for name, value in values.items():
        if not _SAFE_VALUE.fullmatch(value):
            raise ValueError(f"{name}={value!r} holds a character that a shell would read")
    text = "".join(f"{name}={value}\n" for name, value in values.items())
    temporary = path.with_suffix(".env.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)


async def credentials(data: Path, keys: KeysTopic) -> dict[str, str]:
    """Give API_KEY, SEQUENCE_ID and SEQUENCE_SECRET: the ones of the last start if they still
    count, else of a key made now. The first start makes the first tenant with it.

    Raises KeysUnavailable.
    """
    kept = read_client_file(data / CLIENT_FILE)
    now_s = time.time()
    good = {key.key_hash for key in await keys.read() if state_of(key, now_s) in (GOOD, EXPIRES)}
    names = ("API_KEY", "SEQUENCE_ID", "SEQUENCE_SECRET")
    if all(kept.get(name) for name in names) and hash_secret(kept["API_KEY"]) in good:
        return {name: kept[name] for name in names}
    made = make_key(FIRST_TENANT, CLIENT_FILE)
    await keys.append(made.record)
    return dict(zip(names, (made.api_key, made.record.key_id, made.sequence_secret), strict=True))
