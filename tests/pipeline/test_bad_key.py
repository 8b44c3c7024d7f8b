"""Requests without a good key, of another tenant, or to where nothing is."""

from __future__ import annotations

import json

import pytest

from tests.pipeline.client import Answer, Tenant, assert_refused, event, new_tenant
from tests.support.stack import Stack, wait_until

EVENT = json.dumps(event("sent-without-a-key")).encode()
CALLS = {
    "send": ("POST", "/v1/events", EVENT),
    "bulk": ("POST", "/v1/events/bulk", b'{"events":[' + EVENT + b"]}"),
    "list": ("GET", "/v1/events", None),
    "query": ("POST", "/v1/events/query", b"{}"),
    "lookup": ("GET", "/v1/events/lookup?id=here", None),
    "by path": ("GET", "/v1/events/here", None),
}


@pytest.fixture(scope="module")
def tenant(stack: Stack) -> Tenant:
    tenant = new_tenant(stack, "bad-key")
    tenant.send(event("here"))
    tenant.wait_for("here")
    return tenant


@pytest.fixture(scope="module")
def revoked(stack: Stack, tenant: Tenant) -> str:
    """A key of the same tenant that worked and was revoked."""
    made = json.loads(stack.tally("keys", "create", "--tenant", tenant.name, "--json").stdout)
    key = str(made["key"])
    other = Tenant(stack, tenant.name, key)
    wait_until(lambda: other.get_list().status == 200, what="the key works")
    assert stack.tally("keys", "revoke", made["key_id"]).returncode == 0
    wait_until(lambda: other.get_list().status == 401, what="the key is refused by reads")
    wait_until(lambda: other.post("/v1/events", {}).status == 401, what="and by writes")
    return key


def call(tenant: Tenant, name: str, headers: dict[str, str]) -> Answer:
    method, target, body = CALLS[name]
    return tenant.request(method, target, body, headers)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": ""},
        {"x-api-key": "wrong"},
        {"x-api-key": "\xff"},
        {"x-api-key": "x" * 5000},
        {"authorization": "Bearer"},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic d3Jvbmc6d3Jvbmc="},
        {"x-environment-id": "bad-key"},
    ],
    ids=lambda headers: str(headers)[:40],
)
def test_no_key_and_a_wrong_key_are_a_401(
    tenant: Tenant, name: str, headers: dict[str, str]
) -> None:
    """Without a key that is known, every call is a 401 that speaks of the key."""
    assert_refused(call(tenant, name, headers), 401, "key")


@pytest.mark.parametrize("name", CALLS)
def test_a_key_cut_short_or_with_more_behind_it_is_a_401(tenant: Tenant, name: str) -> None:
    """Only the whole key counts."""
    for key in (tenant.key[:-1], tenant.key + "x", tenant.key.swapcase()):
        assert_refused(call(tenant, name, {"x-api-key": key}), 401, "key")


@pytest.mark.parametrize("name", CALLS)
def test_a_revoked_key_is_a_401(tenant: Tenant, revoked: str, name: str) -> None:
    """A revoked key is refused by every call, in either header."""
    assert_refused(call(tenant, name, {"x-api-key": revoked}), 401, "key")
    assert_refused(call(tenant, name, {"authorization": f"Bearer {revoked}"}), 401, "key")


@pytest.mark.parametrize("name", CALLS)
def test_another_tenants_environment_is_a_403(tenant: Tenant, name: str) -> None:
    """X-Environment-ID may name the key's own tenant and no other, whether it exists or not."""
    for other in ("default", "no-such-tenant"):
        headers = {"x-api-key": tenant.key, "x-environment-id": other}
        assert_refused(call(tenant, name, headers), 403, "X-Environment-ID")


def test_the_tenants_own_environment_is_taken(tenant: Tenant) -> None:
    """X-Environment-ID with the key's own tenant changes nothing, in either form of the key."""
    for key in ({"x-api-key": tenant.key}, {"authorization": f"Bearer {tenant.key}"}):
        answer = call(tenant, "lookup", {**key, "x-environment-id": tenant.name})
        assert answer.status == 200, answer
        assert answer.json["environment_id"] == tenant.name


def test_nothing_of_what_was_refused_for_its_key_is_stored(tenant: Tenant, revoked: str) -> None:
    """Events sent without a good key are stored nowhere."""
    for headers in (
        {},
        {"x-api-key": revoked},
        {"x-api-key": tenant.key, "x-environment-id": "default"},
    ):
        assert call(tenant, "send", headers).status in {401, 403}
        assert call(tenant, "bulk", headers).status in {401, 403}
    good = tenant.send(event())
    tenant.wait_for(good)
    tenant.stack.wait_until_stored()
    assert set(tenant.everything()) == {"here", good}
    default = Tenant(tenant.stack, "default", tenant.stack.client["API_KEY"])
    assert default.lookup("sent-without-a-key").status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1"),
        ("GET", "/v1/event"),
        ("GET", "/V1/events"),
        ("POST", "/v2/events"),
        ("GET", "/no/such/path"),
    ],
)
def test_an_unknown_path_is_a_404_in_the_error_shape(
    tenant: Tenant, method: str, path: str
) -> None:
    """Where nothing is, the answer is still the dialect's error."""
    error = assert_refused(tenant.request(method, path), 404)
    assert error["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v1/events"),
        ("PUT", "/v1/events"),
        ("PATCH", "/v1/events/bulk"),
        ("DELETE", "/v1/events/query"),
        ("POST", "/v1/events/lookup"),
        ("DELETE", "/v1/events/here"),
    ],
)
def test_a_wrong_method_is_a_405_in_the_error_shape(tenant: Tenant, method: str, path: str) -> None:
    """A method that a path does not have is a 405 that lists the ones it has."""
    answer = tenant.request(method, path)
    assert answer.headers["allow"]
    assert_refused(answer, 405)


def test_an_event_that_is_not_there_is_a_404_that_names_it(tenant: Tenant) -> None:
    """Both look-ups answer an unknown ID with the same error."""
    for answer in (tenant.lookup("nowhere"), tenant.by_path("nowhere")):
        error = assert_refused(answer, 404, "nowhere")
        assert error["code"] == "not_found"
    assert_refused(tenant.request("GET", "/v1/events/lookup"), 400, "id")
    assert_refused(tenant.request("GET", "/v1/events/lookup?id=here&other=1"), 400, "other")
