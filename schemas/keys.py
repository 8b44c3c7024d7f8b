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
import time
from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from typing import Final, NamedTuple

import msgspec

from schemas.errors import forbidden, unauthenticated, unavailable
from schemas.key_uses import KeyUses, seconds_of, text_of

API_KEY_HEADER: Final = "x-api-key"
ENVIRONMENT_HEADER: Final = "X-Environment-ID"

INGEST: Final = "ingest"
READ: Final = "read"
SCOPES: Final = (INGEST, READ)

_NO_SECRET: Final = "0" * 64  # the hash of nothing that anyone knows

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class KeyRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the topic ``tally.keys`` holds of a key, under `record_key`; the latest record counts,
    but a revocation is final: see `standing`.

    Times are ISO 8601 in UTC. ``key_id`` is also the public half of Sequence's Basic auth.
    Limits are of each gateway; None is the gateway's own default, and 0 is no limit.
    ``term_s`` is how long the key was made to live, noted when a rotation cuts that short; 0 is
    for ever.
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
    events_per_s: float | None = None
    bytes_per_s: float | None = None
    term_s: float | None = None


# The key of the request that is being answered, once it is found; log lines carry its ID.
current_caller: ContextVar[KeyRecord | None] = ContextVar("current_caller", default=None)

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


def record_key(record: KeyRecord) -> bytes:
    """Give the key of a record in a compacted topic.

    A revocation has one of its own, or it could be lost for good: whoever read the key before it
    and writes after it would leave a later record, and compaction none but that.
    """
    return (b"revoked/" if record.revoked_at is not None else b"") + record.key_id.encode()


def standing(earlier: KeyRecord | None, later: KeyRecord) -> KeyRecord:
    """Give what counts when one record of a key follows another: the later one, but revoked is
    revoked, since whoever wrote it may not have known.
    """
    if earlier is None or earlier.revoked_at is None:
        return later
    return msgspec.structs.replace(later, revoked_at=earlier.revoked_at)


class KeysUnreachable(Exception):  # noqa: N818 (names the condition)
    """The API keys can't be read just now; the text says where they should be."""


class NewKey(NamedTuple):
    """A key just made: the only moment at which its secrets are known."""

    record: KeyRecord
    api_key: str
    sequence_secret: str


def make_key(
    tenant: str,
    name: str,
    *,
    scopes: Collection[str] = SCOPES,
    expires_at: str | None = None,
    events_per_s: float | None = None,
    bytes_per_s: float | None = None,
) -> NewKey:
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
        scopes=tuple(scope for scope in SCOPES if scope in scopes),
        expires_at=expires_at,
        events_per_s=events_per_s,
        bytes_per_s=bytes_per_s,
    )
    return NewKey(record, api_key, sequence_secret)


def hash_secret(secret: str) -> str:
    """Give the form in which a key or secret is kept."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def now_text() -> str:
    """The present as a record holds it, to the second."""
    return text_of(time.time())


def expiry_s(record: KeyRecord) -> float:
    """Give the Unix time at which a key expires, infinity if it never does. An expiry that nobody
    can read has passed.
    """
    if record.expires_at is None:
        return float("inf")
    try:
        return seconds_of(record.expires_at)
    except (ValueError, OverflowError):
        return float("-inf")


class _Known(NamedTuple):
    """A record, and when it ceases to count: a Unix time, worked out once."""

    record: KeyRecord
    until_s: float


class KeyRing:
    """Every key that a service knows, found by hash. Filled by a feed, in the topic's order.

    ``is_complete`` is False until the feed has read all there was: before that, a key that is not
    here may still be a good one. ``uses`` has when each key last opened something.
    """

    def __init__(
        self, *, is_complete: bool = True, unix_time: Callable[[], float] = time.time
    ) -> None:
        self.is_complete = is_complete
        self.uses = KeyUses()
        self._unix_time = unix_time
        self._by_id: dict[str, _Known] = {}
        self._by_hash: dict[str, _Known] = {}

    def apply(self, record: KeyRecord) -> None:
        """Take in a new or changed record of the topic. See `standing`."""
        previous = self._by_id.get(record.key_id)
        if previous is not None:
            self._by_hash.pop(previous.record.key_hash, None)
            record = standing(previous.record, record)
        known = _Known(record, expiry_s(record))
        self._by_id[record.key_id] = known
        if record.revoked_at is None:
            self._by_hash[record.key_hash] = known

    def caller_of(self, headers: Mapping[str, str], scope: str) -> KeyRecord:
        """Give the key that a request's headers carry: x-api-key, Bearer, or Sequence's Basic.

        Raises ApiError: 503 before the keys are read, 401 for no key or one that does not count,
        403 for one without the scope or a request that names another tenant's environment.
        """
        known = self._find(headers)
        if known is None and not self.is_complete:
            raise unavailable("the API keys are not read yet; send it again", retry_after_s=1)
        if known is None:
            raise unauthenticated("the API key is unknown or was revoked")
        record = self._let_in(known, scope)
        environment = headers.get(ENVIRONMENT_HEADER)
        if environment is not None and environment != record.tenant:
            raise forbidden(f"the API key does not belong to the {ENVIRONMENT_HEADER} given")
        self.uses.here[record.key_id] = self._unix_time()
        return record

    def still(self, record: KeyRecord, scope: str) -> KeyRecord:
        """Give a key that `caller_of` let in as it stands now: its limits may be others. Raises
        ApiError, as there, if it would not be let in any more.
        """
        known = self._by_id.get(record.key_id)
        if known is None or known.record.revoked_at is not None:
            raise unauthenticated("the API key is unknown or was revoked")
        return self._let_in(known, scope)

    def _let_in(self, known: _Known, scope: str) -> KeyRecord:
        record, until_s = known
        current_caller.set(record)  # of a refusal below, too, so that an operator finds the sender
        if until_s <= self._unix_time():
            raise unauthenticated(f"the API key expired at {record.expires_at}")
        if scope not in record.scopes:
            raise forbidden(f"the API key has no scope {scope!r}, only {', '.join(record.scopes)}")
        return record

    def _find(self, headers: Mapping[str, str]) -> _Known | None:
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

    def _find_basic(self, credentials: str) -> _Known | None:
        try:
            decoded = base64.b64decode(credentials, validate=True).decode()
        except ValueError:
            raise unauthenticated(
                "Authorization: Basic is not base64 of the key's ID, a colon and its secret"
            ) from None
        key_id, _, secret = decoded.partition(":")
        known = self._by_id.get(key_id)
        expected = _NO_SECRET if known is None else known.record.sequence_secret_hash
        # Known or not, the same work, so that the time tells nothing about which IDs there are.
        if not hmac.compare_digest(hash_secret(secret), expected):
            return None
        return None if known is None or known.record.revoked_at is not None else known
