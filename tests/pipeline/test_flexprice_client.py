"""FlexPrice's published Python client, pointed at us and otherwise as it comes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flexprice import Flexprice, models
from flexprice.models.errors import ErrorResponse, FlexpriceError

from tests.pipeline.client import Tenant, event, new_tenant, stamp
from tests.support.stack import Stack

NOON = (datetime.now(UTC) - timedelta(days=2)).replace(hour=12, minute=0, second=0, microsecond=0)
COUNT = 23
BAD_LISTS: dict[str, dict[str, Any]] = {
    "page_size": {"page_size": 0},
    "offset": {"offset": -1},
    "sort": {"sort": "TIMESTAMP"},
    "order": {"order": "up"},
    "iter_last_key": {"iter_last_key": "garbage"},
    "start_time": {"start_time": NOON, "end_time": NOON - timedelta(days=1)},
}


@pytest.fixture(scope="module")
def tenant(stack: Stack) -> Tenant:
    """Events a minute apart, each third of another name, each fourth of another region."""
    tenant = new_tenant(stack, "flexprice-client")
    with client_of(tenant) as client:
        answer = client.events.ingest_events_bulk(
            events=[
                models.IngestEventRequest(
                    event_name=f"name-{number % 3}",
                    external_customer_id="acme",
                    event_id=f"e{number:02}",
                    timestamp=stamp(NOON + timedelta(minutes=number)),
                    properties={"region": f"r{number % 4}", "number": str(number)},
                    source="client",
                )
                for number in range(COUNT)
            ]
        )
    assert answer == {"message": "Events accepted for processing"}
    tenant.wait_for_count(COUNT)
    return tenant


def client_of(tenant: Tenant, key: str | None = None) -> Flexprice:
    return Flexprice(server_url=f"{tenant.stack.url}/v1", api_key_auth=key or tenant.key)


def ids(page: models.GetEventsResponse) -> list[str | None]:
    assert page.events is not None
    return [row.id for row in page.events]


def test_it_sends_one_event_and_reads_it(tenant: Tenant) -> None:
    """What ingest_event sent is what list_raw_events gives, with and without an ID of one's own."""
    other = new_tenant(tenant.stack, "flexprice-client-one")
    with client_of(other) as client:
        sent = {
            "event_name": "api.call",
            "external_customer_id": "globex",
            "customer_id": "c-1",
            "source": "client",
            "properties": {"bytes": "512", "città": "Zürich"},
        }
        made = client.events.ingest_event(**sent, timestamp=stamp(NOON))
        given = client.events.ingest_event(**sent, event_id="own/id", timestamp=stamp(NOON))
        assert given == {"message": "Event accepted for processing", "event_id": "own/id"}
        other.wait_for(made["event_id"], "own/id")
        page = client.events.list_raw_events(external_customer_id="globex")
    assert page.events is not None
    assert {row.id for row in page.events} == {made["event_id"], "own/id"}
    assert (page.has_more, page.total_count, page.offset) == (False, 2, 0)
    for row in page.events:
        assert row.timestamp is not None
        assert datetime.fromisoformat(row.timestamp) == NOON
        assert row.environment_id == other.name
        assert {name: getattr(row, name) for name in sent} == sent


def test_it_reads_any_properties(tenant: Tenant) -> None:
    """Properties of other types than the client can send are read by it all the same."""
    tenant.send(
        event("typed", external_customer_id="typed", properties={"n": 2**60 + 1, "a": [None, {}]})
    )
    tenant.wait_for("typed")
    with client_of(tenant) as client:
        (row,) = client.events.list_raw_events(event_id="typed").events or []
    assert row.properties == {"n": 2**60 + 1, "a": [None, {}]}
    assert (row.source, row.customer_id) == (None, None)


@pytest.mark.parametrize("sort", ["timestamp", "event_name"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_it_pages_forward_and_back(tenant: Tenant, sort: str, order: str) -> None:
    """A walk by the client's own cursors meets every event once, and back the same pages."""
    walk: dict[str, Any] = {
        "sort": sort,
        "order": order,
        "page_size": 5,
        "external_customer_id": "acme",
    }
    with client_of(tenant) as client:
        pages = [client.events.list_raw_events(**walk)]
        while pages[-1].has_more:
            token = pages[-1].iter_last_key
            pages.append(client.events.list_raw_events(**walk, iter_last_key=token))
        back = client.events.list_raw_events(**walk, iter_first_key=pages[2].iter_first_key)
        offset = client.events.list_raw_events(**walk, offset=7)
    numbers = sorted(
        range(COUNT),
        key=lambda number: (number % 3 if sort == "event_name" else 0, number),
        reverse=order == "desc",
    )
    whole = [f"e{number:02}" for number in numbers]
    assert [event_id for page in pages for event_id in ids(page)] == whole
    assert [len(ids(page)) for page in pages] == [5, 5, 5, 5, 3]
    assert {page.total_count for page in pages} == {COUNT}
    assert ids(back) == ids(pages[1])
    assert (ids(offset), offset.offset) == (whole[7:12], 7)


def test_it_filters(tenant: Tenant) -> None:
    """Datetimes in any zone, property filters, names, sources and IDs of the client count."""
    first, last = NOON + timedelta(minutes=3), NOON + timedelta(minutes=9)
    zone = datetime.fromisoformat("2024-01-01T00:00:00-07:00").tzinfo
    with client_of(tenant) as client:
        listed = client.events.list_raw_events
        window = listed(start_time=first, end_time=last.astimezone(zone), order="asc")
        regions = listed(
            property_filters={"region": ["r1", "r2"], "number": ["1", "2", "3"]},
            source="client",
            event_name="name-1",
        )
        one = listed(event_id="e05")
        none = listed(source="nothing")
    assert ids(window) == [f"e{number:02}" for number in range(3, 10)]
    assert ids(regions) == ["e01"]
    assert ids(one) == ["e05"]
    assert (none.events, none.has_more, none.total_count) == ([], False, 0)


@pytest.mark.parametrize("name", BAD_LISTS)
def test_it_reads_our_errors_of_a_list(tenant: Tenant, name: str) -> None:
    """A 400 of a list is the client's typed ErrorResponse, which names the parameter."""
    with client_of(tenant) as client, pytest.raises(ErrorResponse) as raised:
        client.events.list_raw_events(**BAD_LISTS[name])
    data = raised.value.data
    assert (data.code, data.http_status_code) == ("validation_error", 400)
    assert data.message is not None
    assert name in data.message
    assert raised.value.status_code == 400


def test_it_reads_our_errors_of_a_send(tenant: Tenant) -> None:
    """A 400 of one event and of a bulk is a typed ErrorResponse with our message."""
    with client_of(tenant) as client:
        with pytest.raises(ErrorResponse, match="event_name") as one:
            client.events.ingest_event(event_name="", external_customer_id="acme")
        with pytest.raises(ErrorResponse, match="1") as bulk:
            client.events.ingest_events_bulk(
                events=[
                    models.IngestEventRequest(**event()),
                    models.IngestEventRequest(**event(timestamp="now")),
                ]
            )
        with pytest.raises(ErrorResponse, match="events"):
            client.events.ingest_events_bulk(events=[])
    assert one.value.data.code == bulk.value.data.code == "validation_error"


def test_it_reports_a_wrong_key(tenant: Tenant) -> None:
    """A wrong key is the client's own error, with our status and message."""
    with client_of(tenant, "wrong") as client:
        for call in (
            client.events.list_raw_events,
            lambda: client.events.ingest_event(**event()),
        ):
            with pytest.raises(FlexpriceError) as raised:
                call()
            assert raised.value.status_code == 401
            assert "API key" in raised.value.body


async def test_its_async_methods_do_the_same(stack: Stack) -> None:
    """Sending, bulk, listing, paging and errors work through the client's async half too."""
    tenant = new_tenant(stack, "flexprice-client-async")
    async with client_of(tenant) as client:
        one = await client.events.ingest_event_async(
            event_name="call", external_customer_id="acme", event_id="one", timestamp=stamp(NOON)
        )
        assert one["event_id"] == "one"
        bulk = await client.events.ingest_events_bulk_async(
            events=[
                models.IngestEventRequest(
                    event_name="call",
                    external_customer_id="acme",
                    event_id=f"b{number}",
                    timestamp=stamp(NOON + timedelta(seconds=number + 1)),
                    properties={"k": str(number)},
                )
                for number in range(4)
            ]
        )
        assert bulk == {"message": "Events accepted for processing"}
        tenant.wait_for_count(5)
        walk: dict[str, Any] = {"order": "asc", "page_size": 3, "start_time": NOON}
        first = await client.events.list_raw_events_async(**walk)
        second = await client.events.list_raw_events_async(
            **walk, iter_last_key=first.iter_last_key
        )
        found = await client.events.list_raw_events_async(property_filters={"k": ["3", "0"]})
        with pytest.raises(ErrorResponse, match="page_size") as raised:
            await client.events.list_raw_events_async(page_size=-1)
        with pytest.raises(ErrorResponse, match="external_customer_id"):
            await client.events.ingest_event_async(event_name="call", external_customer_id="")
    assert ids(first) + ids(second) == ["one", "b0", "b1", "b2", "b3"]
    assert (first.has_more, second.has_more) == (True, False)
    assert set(ids(found)) == {"b0", "b3"}
    assert raised.value.data.http_status_code == 400
