"""Two tenants that send the same: neither ever sees, counts or changes the other's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.pipeline.client import WIDE, Tenant, ago, event, new_tenant
from tests.support.stack import Stack, wait_until

IDS = [f"id-{number}" for number in range(12)]
EXTRA = "only-of-left"


@pytest.fixture(scope="module")
def times() -> list[str]:
    return [ago(minutes=number) for number in range(len(IDS))]


@pytest.fixture(scope="module")
def pair(stack: Stack, times: list[str]) -> tuple[Tenant, Tenant]:
    """Two tenants with the same IDs, customers, names and times; only `who` tells them apart."""
    left, right = new_tenant(stack, "tenants-left"), new_tenant(stack, "tenants-right")
    for tenant in (left, right):
        tenant.send_bulk(
            [
                event(event_id, timestamp=time, source="same", properties={"who": tenant.name})
                for event_id, time in zip(IDS, times, strict=True)
            ]
        )
    left.send(event(EXTRA, properties={"who": left.name}))
    left.wait_for_count(len(IDS) + 1)
    right.wait_for_count(len(IDS))
    return left, right


def assert_own(tenant: Tenant, rows: list[dict[str, Any]], count: int) -> None:
    """Exactly so many rows, each once and each the tenant's own."""
    assert len({row["id"] for row in rows}) == len(rows) == count
    assert {row["environment_id"] for row in rows} == {tenant.name}
    assert {row["properties"]["who"] for row in rows} == {tenant.name}


LISTS: dict[str, Callable[[Tenant], dict[str, Any]]] = {
    "list": lambda tenant: tenant.page(count_total="true"),
    "list by customer": lambda tenant: tenant.page(external_customer_id="acme", count_total="true"),
    "list by name": lambda tenant: tenant.page(event_name="call", count_total="true"),
    "list sorted by name": lambda tenant: tenant.page(sort="event_name", count_total="true"),
    "list of any time": lambda tenant: tenant.page(**WIDE, count_total="true"),
    "query": lambda tenant: tenant.query(),
    "query by customer": lambda tenant: tenant.query(external_customer_id="acme"),
    "query of any time": lambda tenant: tenant.query(**WIDE),
}


@pytest.mark.parametrize("ask", LISTS.values(), ids=LISTS)
def test_a_list_and_its_count_hold_only_the_tenants_own(
    pair: tuple[Tenant, Tenant], ask: Callable[[Tenant], dict[str, Any]]
) -> None:
    """The same question gives each tenant its own rows and its own total."""
    for tenant, count in zip(pair, (len(IDS) + 1, len(IDS)), strict=True):
        page = ask(tenant)
        assert_own(tenant, page["events"], count)
        assert page["total_count"] == count
        assert page["has_more"] is False


def test_a_filter_on_the_others_values_finds_nothing(pair: tuple[Tenant, Tenant]) -> None:
    """Neither a property, nor an ID, nor a tenant's name finds another tenant's event."""
    left, right = pair
    for tenant, other in ((left, right), (right, left)):
        page = tenant.query(**WIDE, property_filters={"who": [other.name]})
        assert (page["events"], page["total_count"]) == ([], 0)
        assert tenant.page(property_filters=f"who:{other.name}")["events"] == []
    assert right.page(event_id=EXTRA)["events"] == []
    assert right.query(event_id=EXTRA)["total_count"] == 0
    assert right.lookup(EXTRA).status == right.by_path(EXTRA).status == 404
    assert left.lookup(EXTRA).status == left.by_path(EXTRA).status == 200


def test_a_shared_id_gives_each_tenant_its_own_event(pair: tuple[Tenant, Tenant]) -> None:
    """By ID, by path, by look-up and by filter, each tenant reads what it sent itself."""
    for tenant in pair:
        for event_id in IDS:
            assert_own(tenant, [tenant.lookup(event_id).json], 1)
            assert_own(tenant, [tenant.by_path(event_id).json], 1)
            assert_own(tenant, tenant.page(event_id=event_id)["events"], 1)
            assert_own(tenant, tenant.query(event_id=event_id)["events"], 1)


@pytest.mark.parametrize("sort", ["timestamp", "event_name"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_walk_by_cursor_meets_only_the_tenants_own(
    pair: tuple[Tenant, Tenant], sort: str, order: str
) -> None:
    """Page by page as well, where both tenants' rows stand side by side in every order."""
    for tenant, count in zip(pair, (len(IDS) + 1, len(IDS)), strict=True):
        rows = [row for page in tenant.walk(sort=sort, order=order, page_size=5) for row in page]
        assert_own(tenant, rows, count)


def test_a_resend_of_one_leaves_the_other_alone(stack: Stack, times: list[str]) -> None:
    """When one tenant corrects an ID, the other's event of that ID stays as it was."""
    one, two = new_tenant(stack, "tenants-one"), new_tenant(stack, "tenants-two")
    for tenant in (one, two):
        tenant.send(event("shared", timestamp=times[5], properties={"who": tenant.name}))
        tenant.wait_for("shared")
    before = two.lookup("shared").json
    for number in range(5):
        one.send(
            event(
                "shared",
                event_name="corrected",
                external_customer_id=f"customer-{number}",
                timestamp=ago(days=number),
                properties={"number": number},
            )
        )
    wait_until(lambda: one.lookup("shared").json["properties"] == {"number": 4})
    stack.wait_until_stored()
    assert two.lookup("shared").json == before
    assert two.everything() == {"shared": before}
    assert two.page(external_customer_id="acme")["events"] == [before]
    assert set(one.everything()) == {"shared"}
    assert one.page(external_customer_id="acme", **WIDE)["events"] == []
