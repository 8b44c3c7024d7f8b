"""The analysts of one data directory: a file that the command line writes and the server reads."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from deploy.embedded.clickhouse.access import (
    DEFAULT,
    READER,
    READER_ACCOUNT,
    TENANT_PLACES,
    Account,
    analyst_account,
)
from deploy.embedded.clickhouse.errors import RequestError

_FILE: Final = "analysts.json"
_LOCK: Final = "analysts.lock"


class Analyst(msgspec.Struct, frozen=True):
    """``password_hash`` is SHA-256 in hexadecimal digits: the passwords are 256 random bits."""

    tenant: str
    password_hash: str


class Analysts(msgspec.Struct):
    """``tenants`` only grows: the index of one is its place in the engine."""

    tenants: list[str] = []
    users: dict[str, Analyst] = {}

    def place_of(self, tenant: str) -> int:
        """Give a tenant's place, a new one if it has none. Raises ValueError if all are taken."""
        if tenant not in self.tenants:
            if len(self.tenants) == TENANT_PLACES:
                raise ValueError(
                    f"{TENANT_PLACES} tenants have analysts already, which is all that the "
                    "embedded ClickHouse has room for: use a ClickHouse server"
                )
            self.tenants.append(tenant)
        return self.tenants.index(tenant)

    def put(self, user: str, tenant: str, password: str) -> None:
        """Make a user, or give it this tenant and password."""
        self.users[user] = Analyst(tenant, _hash(password))


def read_analysts(directory: Path) -> Analysts:
    """Read the file; no file is no analysts. Raises OSError, or ValueError for a broken one."""
    try:
        data = (directory / _FILE).read_bytes()
    except FileNotFoundError:
        return Analysts()
    try:
        return msgspec.json.decode(data, type=Analysts)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{directory / _FILE} can't be read: {error}") from error


@contextmanager
def changed_analysts(directory: Path) -> Iterator[Analysts]:
    """Give what the file holds, and write it when the block ends without an error.

    One block at a time, in whatever processes. Raises OSError and ValueError.
    """
    with (directory / _LOCK).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        analysts = read_analysts(directory)
        yield analysts
        temporary = directory / f"{_FILE}.new"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(analysts))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(directory / _FILE)


def log_in(user: str, password: str, directory: Path) -> Account:
    """Give the account of a user; only analysts have a password. Raises RequestError."""
    if not password and user in ("", DEFAULT.name):
        return DEFAULT
    if not password and user == READER:
        return READER_ACCOUNT
    analysts = read_analysts(directory)
    analyst = analysts.users.get(user)
    known = analyst.password_hash if analyst is not None else ""
    if analyst is None or not hmac.compare_digest(_hash(password), known):
        raise RequestError(
            516,
            "AUTHENTICATION_FAILED",
            f"{user or DEFAULT.name}: Authentication failed: this server knows the users "
            f"'{DEFAULT.name}' and '{READER}' with an empty password, and those that "
            "'tally analysts create' made, with theirs",
        )
    return analyst_account(user, analysts.place_of(analyst.tenant))


def _hash(password: str) -> str:
    return hashlib.sha256(password.encode("utf-8", "surrogateescape")).hexdigest()
