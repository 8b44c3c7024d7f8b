"""flexprice 1.0.0, the version that lists by GET /v1/events, unchanged and in its own process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.clients.published import Client, Refused
from tests.pipeline.client import Tenant, new_tenant, stamp
from tests.support.stack import Stack

NOON = (datetime.now(UTC) - timedelta(days=2)).replace(hour=12, minute=0, second=0, microsecond=0)
COUNT = 12
IDS = [f"e{number:02}" for number in range(COUNT)]


def sent(number: int) -> dict[str, Any]:
    return {
        "event_id": IDS[number],
        "event_name": f"name-{number % 2}",
        "external_customer_id": f"customer-{number % 3}",
        "timestamp": stamp(NOON + timedelta(minutes=number)),
        "properties": {"number": str(number), "città": "Zürich"},
        "source": "client",
        "customer_id": "c-1",
    }


@pytest.fixture(scope="module")
def tenant(stack: Stack, flexprice_old: Client) -> Tenant:
    """Events a minute apart, sent by the client in one bulk."""
    tenant = new_tenant(stack, "flexprice-1-0")
    client = flexprice_old.at(stack.url, tenant.key)
    answer = client("events_bulk_post", {"events": [sent(number) for number in range(COUNT)]})
    assert answer == {"message": "Events accepted for processing"}
    tenant.wait_for_count(COUNT)
    return tenant


@pytest.fixture
def client(tenant: Tenant, flexprice_old: Client) -> Client:
    return flexprice_old.at(tenant.stack.url, tenant.key)


def ids(page: dict[str, Any]) -> list[str]:
    return [row["id"] for row in page["events"]]


def test_it_sends_one_event_and_reads_it(stack: Stack, flexprice_old: Client) -> None:
    """What events_post sent is what events_get gives, with and without an ID of one's own."""
    tenant = new_tenant(stack, "flexprice-1-0-one")
    client = flexprice_old.at(stack.url, tenant.key)
    given = client("events_post", sent(0))
    assert given == {"message": "Event accepted for processing", "event_id": IDS[0]}
    least = {"event_name": "least", "external_customer_id": "acme"}
    made = client("events_post", least)["event_id"]
    tenant.wait_for(IDS[0], made)
    rows = {row["id"]: row for row in client("events_get")["events"]}
    full = rows.pop(IDS[0])
    assert datetime.fromisoformat(full.pop("timestamp")) == NOON
    assert full == {
        ("id" if name == "event_id" else name): value
        for name, value in sent(0).items()
        if name != "timestamp"
    }
    (row,) = rows.values()
    assert {name: row[name] for name in least} == least
    assert row["id"] == made


def test_it_pages_forward_and_back(client: Client) -> None:
    """A walk by the client's own cursors meets every event once, and back the same pages."""
    pages = [client("events_get", page_size=5)]
    while pages[-1]["has_more"]:
        assert len(pages) < COUNT
        pages.append(client("events_get", page_size=5, iter_last_key=pages[-1]["iter_last_key"]))
    back = client("events_get", page_size=5, iter_first_key=pages[2]["iter_first_key"])
    assert [ids(page) for page in pages] == [IDS[:6:-1], IDS[6:1:-1], IDS[1::-1]]
    assert ids(back) == ids(pages[1])


def test_it_filters(client: Client) -> None:
    """Customer, name and times count, each alone and all together."""
    bounds = {
        "start_time": stamp(NOON + timedelta(minutes=2)),
        "end_time": stamp(NOON + timedelta(minutes=7)),
    }
    assert ids(client("events_get", external_customer_id="customer-1")) == IDS[10::-3]
    assert ids(client("events_get", event_name="name-1")) == IDS[11::-2]
    assert ids(client("events_get", **bounds)) == IDS[7:1:-1]
    both = client("events_get", external_customer_id="customer-1", event_name="name-0", **bounds)
    assert ids(both) == [IDS[4]]
    nothing = client("events_get", event_name="none")
    assert (nothing["events"], nothing["has_more"]) == ([], False)


@pytest.mark.parametrize(
    ("call", "arguments", "named", "at_fault"),
    [
        ("events_post", [{**sent(0), "timestamp": "soon"}], {}, "timestamp"),
        ("events_bulk_post", [{"events": [sent(0), {**sent(1), "event_name": ""}]}], {}, "[1]"),
        ("events_get", [], {"page_size": 0}, "page_size"),
        ("events_get", [], {"start_time": "yesterday"}, "start_time"),
        ("events_get", [], {"iter_last_key": "1700000000::e1"}, "iter_last_key"),
    ],
)
def test_it_reads_our_errors(
    client: Client, call: str, arguments: list[Any], named: dict[str, Any], at_fault: str
) -> None:
    """A 400 is its BadRequestException, with our message in the model that it parses."""
    with pytest.raises(Refused) as refused:
        client(call, *arguments, **named)
    assert (refused.value.kind, refused.value.status) == ("BadRequestException", 400)
    assert refused.value.data["success"] is False
    assert at_fault in refused.value.data["error"]["message"]


@pytest.mark.parametrize("call", ["events_post", "events_get"])
def test_a_wrong_key_is_its_unauthorized_exception(client: Client, call: str) -> None:
    """A 401 is told by the exception's class."""
    with pytest.raises(Refused) as refused:
        client.at(key="wrong")(call, *([sent(0)] if call == "events_post" else []))
    assert (refused.value.kind, refused.value.status) == ("UnauthorizedException", 401)
