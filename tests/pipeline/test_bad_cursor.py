"""Cursors that were cut, changed or taken from elsewhere: a 400 or a right page, never a 500."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest

from tests.pipeline.client import Answer, Tenant, ago, assert_refused, event, new_tenant
from tests.support.stack import Stack

TOKENS = ["iter_last_key", "iter_first_key"]


def twenty_events() -> list[dict[str, Any]]:
    """Twenty events whose order by name and time is that of their numbers."""
    return [
        event(f"e{number:02}", event_name=f"n{number // 5}", timestamp=ago(minutes=20 - number))
        for number in range(20)
    ]


@pytest.fixture(scope="module")
def tenant(stack: Stack) -> Tenant:
    tenant = new_tenant(stack, "bad-cursor")
    tenant.send_bulk(twenty_events())
    tenant.wait_for_count(20)
    return tenant


@pytest.fixture(scope="module")
def other(stack: Stack) -> Tenant:
    """Another tenant with the same events."""
    other = new_tenant(stack, "bad-cursor-other")
    other.send_bulk(twenty_events())
    other.wait_for_count(20)
    return other


@pytest.fixture(scope="module")
def middle(tenant: Tenant) -> dict[str, Any]:
    """The second of five pages of four, newest first."""
    return tenant.page(page_size=4, iter_last_key=tenant.page(page_size=4)["iter_last_key"])


def assert_page_or_refusal(answer: Answer, parameter: str) -> None:
    """A 400 about the cursor (or a bound in it), or a page in order of the tenant's own."""
    if answer.status == 400:
        assert_refused(answer, 400)
        return
    assert answer.status == 200, answer
    ids = [row["id"] for row in answer.json["events"]]
    assert ids == sorted(set(ids), reverse=True), (parameter, ids)
    assert set(ids) <= {f"e{number:02}" for number in range(20)}
    assert len(ids) <= 4


@pytest.mark.parametrize("parameter", TOKENS)
def test_a_cursor_cut_short_is_a_400_at_every_length(
    tenant: Tenant, middle: dict[str, Any], parameter: str
) -> None:
    """No beginning of a cursor is a cursor, and the message names the parameter."""
    token = middle["iter_last_key"]
    for length in range(len(token)):
        cut = tenant.get_list(page_size=4, **{parameter: token[:length]})
        assert_refused(cut, 400, parameter)


def test_a_cursor_with_one_character_changed_is_a_400_or_a_page(
    tenant: Tenant, middle: dict[str, Any]
) -> None:
    """A changed character at any place of either cursor never makes a 500 or a wrong order."""
    pick = random.Random(20)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ é\0"
    for parameter in TOKENS:
        token = middle[parameter]
        for place in range(len(token)):
            bad = token[:place] + pick.choice(letters) + token[place + 1 :]
            answer = tenant.get_list(page_size=4, **{parameter: bad})
            assert_page_or_refusal(answer, bad)


def changed(token: str, **fields: Any) -> str:
    """The cursor with fields of the JSON inside it replaced."""
    inside = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    return encoded(json.dumps({**inside, **fields}).encode())


def encoded(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def test_a_cursor_whose_json_was_edited_is_a_400_or_a_page(
    tenant: Tenant, middle: dict[str, Any]
) -> None:
    """Each field of a cursor may hold any JSON value, and the answer is never a 500."""
    token = middle["iter_last_key"]
    inside = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    values: list[Any] = [None, "", "x", 5, -1, 1e300, True, [], {}, "\0", "' OR 1=1", "9" * 30]
    times = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2024-02-30T00:00:00Z", "1"]
    for field in inside:
        for value in values + times:
            answer = tenant.get_list(page_size=4, iter_last_key=changed(token, **{field: value}))
            assert_page_or_refusal(answer, f"{field}={value!r}")
        less = {name: value for name, value in inside.items() if name != field}
        answer = tenant.get_list(iter_last_key=encoded(json.dumps(less).encode()), page_size=4)
        assert_page_or_refusal(answer, f"without {field}")


@pytest.mark.parametrize("parameter", TOKENS)
@pytest.mark.parametrize(
    "garbage",
    [
        *("x", "null", "e30", "é", "%", "\0", " ", "=", "....", "A" * 5000),
        *(encoded(text) for text in (b"[]", b"{}", b"5", b'"text"', b"\xff\xfe", b"[" * 3000)),
    ],
    ids=lambda garbage: repr(garbage[:12]),
)
def test_what_is_no_cursor_is_a_400_that_names_the_parameter(
    tenant: Tenant, parameter: str, garbage: str
) -> None:
    """Garbage is refused by both calls, under the parameter that carried it."""
    assert_refused(tenant.get_list(**{parameter: garbage}), 400, parameter)
    assert_refused(tenant.post("/v1/events/query", {parameter: garbage}), 400, parameter)


@pytest.mark.parametrize("parameter", TOKENS)
@pytest.mark.parametrize(
    "walk",
    [{"sort": "event_name"}, {"order": "asc"}, {"sort": "event_name", "order": "asc"}],
    ids=str,
)
def test_a_cursor_of_another_sort_or_order_is_a_400(
    tenant: Tenant, middle: dict[str, Any], parameter: str, walk: dict[str, str]
) -> None:
    """A cursor continues only the walk it came from, in both directions of the mistake."""
    token = middle[parameter]
    assert_refused(tenant.get_list(**{parameter: token}, **walk), 400, parameter)
    assert_refused(tenant.post("/v1/events/query", {parameter: token, **walk}), 400, parameter)
    theirs = tenant.page(page_size=4, **walk)[parameter]
    assert_refused(tenant.get_list(**{parameter: theirs}), 400, parameter)


@pytest.mark.parametrize("parameter", TOKENS)
def test_a_cursor_of_another_tenant_is_a_400(
    tenant: Tenant, other: Tenant, middle: dict[str, Any], parameter: str
) -> None:
    """Another tenant's cursor is refused, even where both tenants hold the same events."""
    assert_refused(other.get_list(**{parameter: middle[parameter]}), 400, parameter)
    assert_refused(other.post("/v1/events/query", {parameter: middle[parameter]}), 400, parameter)
    assert_refused(tenant.get_list(**{parameter: other.page(page_size=4)[parameter]}), 400)


@pytest.mark.parametrize("parameter", TOKENS)
def test_an_offset_with_a_cursor_is_a_400(
    tenant: Tenant, middle: dict[str, Any], parameter: str
) -> None:
    """A page begins at an offset or at a cursor, not at both."""
    token = middle[parameter]
    assert_refused(tenant.get_list(offset=1, **{parameter: token}), 400, "offset")
    assert_refused(tenant.post("/v1/events/query", {"offset": 1, parameter: token}), 400, "offset")


def test_two_cursors_at_once_are_a_400(tenant: Tenant, middle: dict[str, Any]) -> None:
    """A page can't both continue after one cursor and go back before another."""
    tokens = {parameter: middle[parameter] for parameter in TOKENS}
    assert_refused(tenant.get_list(**tokens), 400, "iter_last_key")
