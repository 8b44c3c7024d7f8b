"""@flexprice/sdk from npm, with the zod that a fresh install brings, unchanged."""

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
        "eventId": IDS[number],
        "eventName": f"name-{number % 2}",
        "externalCustomerId": f"customer-{number % 3}",
        "timestamp": stamp(NOON + timedelta(minutes=number)),
        "properties": {"number": str(number), "città": "Zürich"},
        "source": "client",
        "customerId": "c-1",
    }


def read(number: int, tenant: Tenant) -> dict[str, Any]:
    """The event as the SDK gives it, but for its time."""
    row = {name: value for name, value in sent(number).items() if name != "timestamp"}
    row["id"] = row.pop("eventId")
    return {**row, "environmentId": tenant.name}


@pytest.fixture(scope="module")
def tenant(stack: Stack, flexprice_sdk: Client) -> Tenant:
    """Events a minute apart, sent by the client in one bulk."""
    tenant = new_tenant(stack, "flexprice-sdk")
    client = flexprice_sdk.at(stack.url, tenant.key)
    answer = client("ingestEventsBulk", {"events": [sent(number) for number in range(COUNT)]})
    assert answer == {"message": "Events accepted for processing"}
    tenant.wait_for_count(COUNT)
    return tenant


@pytest.fixture
def client(tenant: Tenant, flexprice_sdk: Client) -> Client:
    return flexprice_sdk.at(tenant.stack.url, tenant.key)


def ids(page: dict[str, Any]) -> list[str]:
    return [row["id"] for row in page["events"]]


def test_it_sends_one_event_and_reads_it(stack: Stack, flexprice_sdk: Client) -> None:
    """What ingestEvent sent is what listRawEvents gives, with and without an ID of one's own."""
    tenant = new_tenant(stack, "flexprice-sdk-one")
    client = flexprice_sdk.at(stack.url, tenant.key)
    given = client("ingestEvent", sent(0))
    assert given == {"message": "Event accepted for processing", "event_id": IDS[0]}
    least = {"eventName": "least", "externalCustomerId": "acme"}
    made = client("ingestEvent", least)["event_id"]
    tenant.wait_for(IDS[0], made)
    page = client("listRawEvents", {})
    rows = {row["id"]: row for row in page["events"]}
    assert (page["totalCount"], page["hasMore"], page["offset"]) == (2, False, 0)
    full = rows[IDS[0]]
    assert datetime.fromisoformat(full.pop("timestamp")) == NOON
    assert full == read(0, tenant)
    assert {name: rows[made][name] for name in least} == least


def test_it_looks_up_one_event(client: Client, tenant: Tenant) -> None:
    """Its getEvent finds the event, whose ID stands in the path, and what is not there is a 404."""
    found = client("getEvent", IDS[3])["event"]
    assert datetime.fromisoformat(found.pop("timestamp")) == NOON + timedelta(minutes=3)
    assert found == read(3, tenant)
    with pytest.raises(Refused) as refused:
        client("getEvent", "nowhere")
    assert (refused.value.kind, refused.value.status) == ("ErrorsErrorsErrorResponse", 404)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_it_pages_forward_and_back(client: Client, order: str) -> None:
    """A walk by the client's own cursors meets every event once, and back the same pages."""
    asked = {"pageSize": 5, "order": order, "sort": "timestamp"}
    pages = [client("listRawEvents", asked)]
    while pages[-1]["hasMore"]:
        assert len(pages) < COUNT
        token = pages[-1]["iterLastKey"]
        pages.append(client("listRawEvents", {**asked, "iterLastKey": token}))
    back = client("listRawEvents", {**asked, "iterFirstKey": pages[2]["iterFirstKey"]})
    offset = client("listRawEvents", {**asked, "offset": 7})
    whole = IDS if order == "asc" else IDS[::-1]
    assert [ids(page) for page in pages] == [whole[:5], whole[5:10], whole[10:]]
    assert {page["totalCount"] for page in pages} == {COUNT}
    assert ids(back) == ids(pages[1])
    assert (ids(offset), offset["offset"]) == (whole[7:], 7)


def test_it_filters(client: Client) -> None:
    """Names, customers, sources, IDs, times and properties count."""
    window = {
        "startTime": stamp(NOON + timedelta(minutes=2)),
        "endTime": stamp(NOON + timedelta(minutes=7)),
    }
    for asked, wanted in (
        ({"externalCustomerId": "customer-1", "eventName": "name-0"}, [IDS[10], IDS[4]]),
        (window, IDS[7:1:-1]),
        ({"propertyFilters": {"number": ["3", "8"], "città": ["Zürich"]}}, [IDS[8], IDS[3]]),
        ({"eventId": IDS[5]}, [IDS[5]]),
        ({"source": "other"}, []),
    ):
        assert ids(client("listRawEvents", asked)) == wanted


@pytest.mark.parametrize(
    ("call", "argument", "at_fault"),
    [
        ("ingestEvent", {**sent(0), "timestamp": "soon"}, "timestamp"),
        ("ingestEventsBulk", {"events": [sent(0), {**sent(1), "eventName": ""}]}, "[1]"),
        ("ingestEventsBulk", {"events": []}, "events"),
        ("listRawEvents", {"pageSize": 0}, "page_size"),
        ("listRawEvents", {"order": "up"}, "order"),
        ("listRawEvents", {"iterLastKey": "garbage"}, "iter_last_key"),
    ],
)
def test_it_reads_our_errors(
    client: Client, call: str, argument: dict[str, Any], at_fault: str
) -> None:
    """A 400 is its typed error, with our message; the body keeps the flat form."""
    with pytest.raises(Refused) as refused:
        client(call, argument)
    assert (refused.value.kind, refused.value.status) == ("ErrorsErrorsErrorResponse", 400)
    assert at_fault in refused.value.message
    assert refused.value.data["error"] == {"message": refused.value.message}
    assert '"code":"validation_error"' in refused.value.data["body"]


def test_a_wrong_key_is_its_error(client: Client) -> None:
    """A 401 is its SDKError with our status and body."""
    for call, argument in (("ingestEvent", sent(0)), ("listRawEvents", {})):
        with pytest.raises(Refused) as refused:
            client.at(key="wrong")(call, argument)
        assert (refused.value.kind, refused.value.status) == ("SDKError", 401)
        assert "API key" in refused.value.data["body"]
