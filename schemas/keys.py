"""API keys: how they are made, kept and found. A record of a compacted topic, never the key.

A key is 256 random bits, so a plain SHA-256 of it tells nothing and needs no salt; looking one up
by its hash leaks no timing about the key itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from schemas.errors import forbidden, unauthenticated, unavailable

API_KEY_HEADER: Final = "x-api-key"
ENVIRONMENT_HEADER: Final = "X-Environment-ID"

INGEST: Final = "ingest"
READ: Final = "read"
SCOPES: Final = (INGEST, READ)

_NO_SECRET: Final = "0" * 64  # the hash of nothing that anyone knows

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class KeyRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the topic ``tally.keys`` holds of a key, under ``key_id``; the latest record counts.

    Times are ISO 8601 in UTC. ``key_id`` is also the public half of Sequence's Basic auth.
    """

    key_id: str
    tenant: str
    name: str
    key_hash: str
    sequence_secret_hash: str
    created_at: str
    scopes: tuple[str, ...] = SCOPES
    expires_at: str | None = None
    revoked_at: str | None = None


_record = msgspec.json.Decoder(KeyRecord)


def encode_key(record: KeyRecord) -> bytes:
    """Write a record as the topic holds it."""
    return msgspec.json.encode(record)


def decode_key(value: bytes) -> KeyRecord:
    """Read a record of the topic. Raises ValueError."""
    try:
        return _record.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None


class KeysUnreachable(Exception):  # noqa: N818 (names the condition)
    """The API keys can't be read just now; the text says where they should be."""


class NewKey(NamedTuple):
    """A key just made: the only moment at which its secrets are known."""

    record: KeyRecord
    api_key: str
    sequence_secret: str


def make_key(tenant: str, name: str) -> NewKey:
    """Make a key for a tenant; the tenant comes to be with its first key.

    Raises ValueError for a tenant's name that can't stand in a key of the log or in a shell.
    """
    if not _TENANT.fullmatch(tenant):
        raise ValueError(
            f"tenant {tenant!r}: use 1 to 63 letters, digits, '.', '_' or '-', "
            "beginning with a letter or digit"
        )
    api_key = "tally_" + secrets.token_urlsafe(32)
    sequence_secret = "secret_" + secrets.token_urlsafe(32)
    record = KeyRecord(
        key_id="key_" + secrets.token_hex(8),
        tenant=tenant,
        name=name,
        key_hash=hash_secret(api_key),
        sequence_secret_hash=hash_secret(sequence_secret),
        created_at=now_text(),
    )
    return NewKey(record, api_key, sequence_secret)


def hash_secret(secret: str) -> str:
    """Give the form in which a key or secret is kept."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def now_text() -> str:
    """The present as a record holds it, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class KeyRing:
    """Every key that a service knows, found by hash. Filled by a feed, in the topic's order.

    ``is_complete`` is False until the feed has read all there was: before that, a key that is not
    here may still be a good one.
    """

    def __init__(self, *, is_complete: bool = True) -> None:
        self.is_complete = is_complete
        self._by_id: dict[str, KeyRecord] = {}
        self._by_hash: dict[str, KeyRecord] = {}

    def apply(self, record: KeyRecord) -> None:
        """Take in a new or changed record of the topic."""
        previous = self._by_id.get(record.key_id)
        if previous is not None:
            self._by_hash.pop(previous.key_hash, None)
        self._by_id[record.key_id] = record
        if record.revoked_at is None:
            self._by_hash[record.key_hash] = record

    def caller_of(self, headers: Mapping[str, str], scope: str) -> KeyRecord:
        """Give the key that a request's headers carry: x-api-key, Bearer, or Sequence's Basic.

        Raises ApiError: 503 before the keys are read, 401 for no key or one that does not count,
        403 for one without the scope or a request that names another tenant's environment.
        """
        record = self._find(headers)
        if record is None and not self.is_complete:
            raise unavailable("the API keys are not read yet; send it again", retry_after_s=1)
        if record is None:
            raise unauthenticated("the API key is unknown or was revoked")
        if record.expires_at is not None and record.expires_at <= now_text():
            raise unauthenticated(f"the API key expired at {record.expires_at}")
        if scope not in record.scopes:
            raise forbidden(f"the API key has no scope {scope!r}, only {', '.join(record.scopes)}")
        environment = headers.get(ENVIRONMENT_HEADER)
        if environment is not None and environment != record.tenant:
            raise forbidden(f"the API key does not belong to the {ENVIRONMENT_HEADER} given")
        return record

    def _find(self, headers: Mapping[str, str]) -> KeyRecord | None:
        """Raises ApiError, a 401, if there is nothing to look for."""
        api_key = headers.get(API_KEY_HEADER)
        if api_key is None:
            kind, _, credentials = headers.get("Authorization", "").partition(" ")
            credentials = credentials.strip()
            if kind.lower() == "basic" and credentials:
                return self._find_basic(credentials)
            api_key = credentials if kind.lower() == "bearer" else None
        if not api_key:
            raise unauthenticated(
                "no API key: send it in the header x-api-key, as Authorization: Bearer KEY, or "
                "as Authorization: Basic with the key's ID and its secret"
            )
        return self._by_hash.get(hash_secret(api_key))

    def _find_basic(self, credentials: str) -> KeyRecord | None:
        try:
            decoded = base64.b64decode(credentials, validate=True).decode()
        except ValueError:
            raise unauthenticated(
                "Authorization: Basic is not base64 of the key's ID, a colon and its secret"
            ) from None
        key_id, _, secret = decoded.partition(":")
        record = self._by_id.get(key_id)
        expected = _NO_SECRET if record is None else record.sequence_secret_hash
        if not hmac.compare_digest(hash_secret(secret), expected):
            return None
        return None if record is None or record.revoked_at is not None else record
