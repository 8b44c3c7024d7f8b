"""API keys: making, keeping, finding."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable

import msgspec
import pytest

from schemas.errors import ApiError
from schemas.key_uses import seconds_of
from schemas.keys import INGEST, READ, KeyRecord, KeyRing, NewKey, hash_secret, make_key

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


def basic(key_id: str, secret: str, kind: str = "Basic") -> dict[str, str]:
    """The header that Sequence's clients send."""
    return {"Authorization": f"{kind} {base64.b64encode(f'{key_id}:{secret}'.encode()).decode()}"}


@pytest.mark.parametrize("kind", ["Basic", "basic", "BASIC", "Basic "])
def test_a_key_opens_its_tenant_by_its_id_and_secret(kind: str) -> None:
    """Sequence's Basic auth: the key's ID is the name, its secret the password."""
    ring, made = KeyRing(), make_key("acme", "")
    ring.apply(made.record)
    headers = basic(made.record.key_id, made.sequence_secret, kind)
    assert ring.caller_of(headers, INGEST) == made.record


def wrong_secret(made: NewKey) -> dict[str, str]:
    return basic(made.record.key_id, "secret_wrong")


def unknown_id(made: NewKey) -> dict[str, str]:
    return basic("key_0000000000000000", made.sequence_secret)


def api_key_for_secret(made: NewKey) -> dict[str, str]:
    return basic(made.record.key_id, made.api_key)


def no_colon(made: NewKey) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(made.record.key_id.encode()).decode()}"}


def not_base64(made: NewKey) -> dict[str, str]:
    return {"Authorization": f"Basic {made.record.key_id}:{made.sequence_secret}"}


def not_utf_8(_made: NewKey) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(bytes([255, 58, 255])).decode()}"}


def no_secret(made: NewKey) -> dict[str, str]:
    return basic(made.record.key_id, "")


def nothing(_made: NewKey) -> dict[str, str]:
    return {"Authorization": "Basic"}


@pytest.mark.parametrize(
    "headers_of",
    [
        *(wrong_secret, unknown_id, api_key_for_secret, no_secret),
        *(no_colon, not_base64, not_utf_8, nothing),
    ],
)
def test_bad_basic_credentials_are_a_401(
    headers_of: Callable[[NewKey], dict[str, str]],
) -> None:
    """Whatever is wrong with them, and without repeating them."""
    ring, made = KeyRing(), make_key("acme", "")
    ring.apply(made.record)
    with pytest.raises(ApiError) as refusal:
        ring.caller_of(headers_of(made), INGEST)
    assert refusal.value.status == 401
    assert made.sequence_secret not in str(refusal.value)
    assert made.record.key_id not in str(refusal.value)


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"revoked_at": "2026-01-01T00:00:00Z"}, 401, "revoked"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 401, "expired at 2020"),
        ({"scopes": (READ,)}, 403, "ingest"),
    ],
    ids=["revoked", "expired", "scope"],
)
def test_basic_credentials_of_a_key_that_does_not_count(
    changes: dict[str, object], status: int, said: str
) -> None:
    """Revocation, expiry and scopes hold for them as they do for the key itself."""
    ring, made = KeyRing(), make_key("acme", "")
    ring.apply(msgspec.structs.replace(made.record, **changes))
    with pytest.raises(ApiError, match=said) as refusal:
        ring.caller_of(basic(made.record.key_id, made.sequence_secret), INGEST)
    assert refusal.value.status == status


def test_an_unknown_id_costs_what_a_known_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are compared in constant time, so that the time tells nothing about which IDs exist."""
    compared: list[int] = []
    compare = hmac.compare_digest

    def counting(one: str, other: str) -> bool:
        compared.append(len(other))
        return compare(one, other)

    # The real comparison runs; it is only counted, since no timing could show that it ran.
    monkeypatch.setattr(hmac, "compare_digest", counting)
    ring, made = KeyRing(), make_key("acme", "")
    ring.apply(made.record)
    for headers_of in (wrong_secret, unknown_id):
        with pytest.raises(ApiError):
            ring.caller_of(headers_of(made), INGEST)
    assert compared == [64, 64]


def expiring(expires_at: str) -> NewKey:
    made = make_key("acme", "", expires_at=expires_at)
    assert made.record.expires_at == expires_at
    return made


def test_a_key_expires_to_the_second_without_anything_being_written() -> None:
    """The ring looks at the clock on each request, not when the record came."""
    moment = "2030-05-05T10:00:00Z"
    now = [seconds_of(moment) - 0.01]
    ring, made = KeyRing(unix_time=lambda: now[0]), expiring(moment)
    ring.apply(made.record)
    assert ring.caller_of({"x-api-key": made.api_key}, READ) == made.record
    now[0] += 0.01
    with pytest.raises(ApiError, match="expired at 2030-05-05T10:00:00Z"):
        ring.caller_of({"x-api-key": made.api_key}, READ)


def test_an_expiry_that_nobody_can_read_has_passed() -> None:
    """A broken record opens nothing."""
    ring, made = KeyRing(), expiring("soon")
    ring.apply(made.record)
    with pytest.raises(ApiError, match="expired"):
        ring.caller_of({"x-api-key": made.api_key}, READ)


def test_a_use_is_noted_when_a_key_opens_something_and_only_then() -> None:
    """A refused request is no use of a key, else a stolen, revoked one would look alive."""
    ring, made = KeyRing(unix_time=lambda: 1234.5), make_key("acme", "", scopes=[READ])
    ring.apply(made.record)
    headers = {"x-api-key": made.api_key}
    with pytest.raises(ApiError):
        ring.caller_of(headers, INGEST)
    assert ring.uses.here == {}
    ring.caller_of(headers, READ)
    assert ring.uses.here == {made.record.key_id: 1234.5}


def test_a_record_of_an_older_release_is_read() -> None:
    """Fields that came later have defaults: no limits of its own, both scopes."""
    made = make_key("acme", "")
    old = {
        name: getattr(made.record, name)
        for name in ("key_id", "tenant", "name", "key_hash", "sequence_secret_hash", "created_at")
    }
    record = msgspec.json.decode(msgspec.json.encode(old), type=KeyRecord)
    assert record == made.record
    assert (record.events_per_s, record.bytes_per_s) == (None, None)
