"""API keys: making, keeping, finding."""

from __future__ import annotations

import msgspec
import pytest

from schemas.errors import ApiError
from schemas.keys import INGEST, READ, KeyRing, hash_secret, make_key

pytestmark = pytest.mark.unit


def test_a_record_holds_no_secret() -> None:
    """What the topic keeps of a key can't be used as one."""
    made = make_key("acme", "laptop")
    kept = msgspec.json.encode(made.record).decode()
    assert made.api_key not in kept
    assert made.sequence_secret not in kept


def test_a_key_opens_its_tenant_by_either_header() -> None:
    """x-api-key and Authorization: Bearer are the same."""
    ring, made = KeyRing(), make_key("acme", "")
    ring.apply(made.record)
    assert ring.caller_of({"x-api-key": made.api_key}, INGEST).tenant == "acme"
    assert ring.caller_of({"Authorization": f"Bearer {made.api_key}"}, READ).tenant == "acme"
    assert ring.caller_of({"Authorization": f"bearer  {made.api_key}"}, READ).tenant == "acme"


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-api-key": ""}, {"x-api-key": "tally_wrong"}, {"Authorization": "Basic abc"}],
)
def test_anything_else_is_a_401(headers: dict[str, str]) -> None:
    """No key, an empty one and a wrong one are refused alike."""
    with pytest.raises(ApiError) as refusal:
        KeyRing().caller_of(headers, INGEST)
    assert refusal.value.status == 401


def test_a_revoked_key_opens_nothing() -> None:
    """The later record of a key replaces the earlier one, in either direction of time."""
    ring, made = KeyRing(), make_key("acme", "")
    ring.apply(made.record)
    ring.apply(msgspec.structs.replace(made.record, revoked_at="2026-01-01T00:00:00Z"))
    with pytest.raises(ApiError, match="revoked"):
        ring.caller_of({"x-api-key": made.api_key}, READ)


def test_an_expired_key_says_when_it_expired() -> None:
    """An expiry in the past makes a key a 401 that names the time."""
    ring, made = KeyRing(), make_key("acme", "")
    ring.apply(msgspec.structs.replace(made.record, expires_at="2020-01-01T00:00:00Z"))
    with pytest.raises(ApiError, match="2020-01-01"):
        ring.caller_of({"x-api-key": made.api_key}, READ)


def test_a_key_without_the_scope_is_a_403() -> None:
    """A key that may only read can't send, and the answer says so."""
    ring, made = KeyRing(), make_key("acme", "")
    ring.apply(msgspec.structs.replace(made.record, scopes=(READ,)))
    headers = {"x-api-key": made.api_key}
    assert ring.caller_of(headers, READ).tenant == "acme"
    with pytest.raises(ApiError, match="ingest") as refusal:
        ring.caller_of(headers, INGEST)
    assert refusal.value.status == 403


def test_another_environment_is_a_403() -> None:
    """The header X-Environment-ID may repeat the key's tenant, not name another."""
    ring, made = KeyRing(), make_key("acme", "")
    ring.apply(made.record)
    headers = {"x-api-key": made.api_key, "X-Environment-ID": "acme"}
    assert ring.caller_of(headers, READ).tenant == "acme"
    with pytest.raises(ApiError, match="X-Environment-ID") as refusal:
        ring.caller_of({**headers, "X-Environment-ID": "other"}, READ)
    assert refusal.value.status == 403


@pytest.mark.parametrize("tenant", ["", "a b", "a\0b", "-x", "x" * 64, "a/b", "\N{ROCKET}"])
def test_a_tenants_name_is_plain(tenant: str) -> None:
    """A tenant's name stands in keys of the log and in shells, so it is plain ASCII."""
    with pytest.raises(ValueError, match="tenant"):
        make_key(tenant, "")


def test_secrets_are_kept_as_sha_256() -> None:
    """The kept form is a disk format: keys made by any release stay good."""
    assert hash_secret("a") == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
