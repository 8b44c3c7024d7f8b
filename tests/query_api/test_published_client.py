"""FlexPrice's published Python client against the routes."""

from __future__ import annotations

import pytest
from flexprice import Flexprice
from flexprice.models import errors

from tests.query_api.conftest import Api
from tests.query_api.rows import Row, Table, at, text


async def test_the_published_client_reads(api: Api, table: Table, tenant: str) -> None:
    """FlexPrice's own Python client pages, filters, and reads a refusal."""
    table.store(
        *(Row(tenant, f"e{number}", at(number), properties='{"k":"v"}') for number in range(3)),
        Row(tenant, "other", at(5), properties='{"k":"w"}'),
    )
    async with Flexprice(server_url=api.url + "/v1", api_key_auth=api.key(tenant)) as client:
        asked = {
            "start_time": at(-1),
            "end_time": at(9),
            "order": "asc",
            "property_filters": {"k": ["v"]},
        }
        page = await client.events.list_raw_events_async(page_size=2, **asked)
        assert [event.id for event in page.events or []] == ["e0", "e1"]
        assert (page.total_count, page.has_more) == (3, True)
        page = await client.events.list_raw_events_async(
            page_size=2, iter_last_key=page.iter_last_key, **asked
        )
        assert [event.id for event in page.events or []] == ["e2"]
        assert (page.events or [])[0].properties == {"k": "v"}
        empty = await client.events.list_raw_events_async(event_id="none")
        assert empty.events == []
        with pytest.raises(errors.ErrorResponse) as caught:
            await client.events.list_raw_events_async(page_size=0)
        assert caught.value.data.code == "validation_error"


async def test_the_published_client_looks_up(api: Api, table: Table, tenant: str) -> None:
    """Its form names the customer, and finds the event in ``event``; what does not fit is a 404."""
    table.store(Row(tenant, "a/b", at(0), properties='{"k":"v"}'))
    async with Flexprice(server_url=api.url + "/v1", api_key_auth=api.key(tenant)) as client:
        asked = {"id": "a/b", "external_customer_id": "acme"}
        found = await client.events.get_event_async(**asked, start_time=text(at(0)))
        assert found.event is not None
        assert (found.event.id, found.event.properties) == ("a/b", {"k": "v"})
        for other in (
            {"external_customer_id": "bolt"},
            {"start_time": text(at(1))},
            {"end_time": text(at(-1))},
        ):
            with pytest.raises(errors.FlexpriceError) as caught:
                await client.events.get_event_async(**{**asked, **other})
            assert caught.value.status_code == 404
