"""OpenMeter's clients from PyPI and npm, unchanged: they send, and FlexPrice's dialect reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.clients.published import Client, Refused
from tests.pipeline.client import Tenant, new_tenant
from tests.support.stack import Stack

AT = (datetime.now(UTC) - timedelta(hours=3)).replace(microsecond=123_456)
DATA = {"tokens": 100, "model": "gpt-4o", "nested": {"a": [1.5, None, "ü"]}}
SYNC_AND_ASYNC = pytest.mark.parametrize("aio", [False, True], ids=["sync", "async"])


def cloud_event(id_: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "source": "my-app",
        "specversion": "1.0",
        "type": "prompt",
        "subject": "customer-1",
        "time": AT.isoformat(),
        "data": DATA,
        **changes,
    }


@pytest.fixture(scope="module")
def tenant(stack: Stack) -> Tenant:
    return new_tenant(stack, "openmeter")


def assert_stored(tenant: Tenant, id_: str, *, at: datetime = AT) -> None:
    """The event is there, by the ID that source and id make, with every attribute in its place."""
    event_id = f'["my-app","{id_}"]'
    tenant.wait_for(event_id)
    row = tenant.lookup(event_id).json
    assert datetime.fromisoformat(row.pop("timestamp")) == at
    assert row == {
        "id": event_id,
        "event_name": "prompt",
        "external_customer_id": "customer-1",
        "customer_id": None,
        "properties": DATA,
        "source": "my-app",
        "environment_id": tenant.name,
    }
    assert [listed["id"] for listed in tenant.page(event_id=event_id)["events"]] == [event_id]


@SYNC_AND_ASYNC
@pytest.mark.parametrize(
    ("call", "count"),
    [
        ("ingest_event", None),
        ("ingest_events", 3),
        ("ingest_events_json", None),
        ("ingest_events_json", 3),
    ],
    ids=["one", "batch", "json-one", "json-many"],
)
def test_python_sends(
    tenant: Tenant, openmeter: Client, call: str, count: int | None, aio: bool
) -> None:
    """One event, a batch, and plain JSON of either arrive, and the answer is none."""
    ids = [f"{call}-{count}-{aio}-{number}" for number in range(count or 1)]
    events = [cloud_event(id_) for id_ in ids]
    client = openmeter.at(tenant.stack.url, tenant.key)
    answer = client(call, events if count else events[0], options={"aio": aio})
    assert answer is None
    for id_ in ids:
        assert_stored(tenant, id_)


@SYNC_AND_ASYNC
def test_python_reads_our_problems(tenant: Tenant, openmeter: Client, aio: bool) -> None:
    """A 400 names the attribute, a bad batch each index, in the model that the client parses."""
    client = openmeter.at(tenant.stack.url, tenant.key)
    with pytest.raises(Refused) as one:
        client("ingest_event", cloud_event("bad", subject=""), options={"aio": aio})
    kind, title, detail, instance = one.value.data["typed"]
    assert (one.value.kind, one.value.status) == ("HttpResponseError", 400)
    assert (kind, title) == ("about:blank", "Bad Request")
    assert detail.startswith("subject: ")
    assert instance.startswith("urn:request:")
    assert one.value.data["details"] == {"field": "subject"}

    batch = [cloud_event("bad-0", subject=""), cloud_event("good"), cloud_event("bad-2", id="")]
    with pytest.raises(Refused) as many:
        client("ingest_events", batch, options={"aio": aio})
    errors = many.value.data["details"]["errors"]
    assert [(error["index"], error["field"]) for error in errors] == [(0, "subject"), (2, "id")]


@SYNC_AND_ASYNC
def test_python_reports_a_wrong_key(tenant: Tenant, openmeter: Client, aio: bool) -> None:
    """A 401 is the client's own ClientAuthenticationError, with our detail."""
    client = openmeter.at(tenant.stack.url, "wrong")
    with pytest.raises(Refused) as refused:
        client("ingest_event", cloud_event("x"), options={"aio": aio})
    assert (refused.value.kind, refused.value.status) == ("ClientAuthenticationError", 401)
    assert "API key" in refused.value.data["detail"]


def test_javascript_sends(tenant: Tenant, openmeter_sdk: Client) -> None:
    """One event and many arrive: this client sends either as a batch."""
    client = openmeter_sdk.at(tenant.stack.url, tenant.key)
    assert client("ingest", cloud_event("js-one")) is None
    assert client("ingest", [cloud_event("js-0"), cloud_event("js-1")]) is None
    for id_ in ("js-one", "js-0", "js-1"):
        assert_stored(tenant, id_)


def test_javascript_fills_in(stack: Stack, openmeter_sdk: Client) -> None:
    """What the client fills in itself (id, source, specversion, time) makes a good event."""
    tenant = new_tenant(stack, "openmeter-sdk")
    client = openmeter_sdk.at(stack.url, tenant.key)
    before = datetime.now(UTC)
    client("ingest", {"type": "prompt", "subject": "acme", "data": {"a": 1}})
    tenant.wait_for_count(1)
    (row,) = tenant.page()["events"]
    assert row["id"].startswith('["@openmeter/sdk","')
    assert (row["source"], row["properties"]) == ("@openmeter/sdk", {"a": 1})
    assert abs(datetime.fromisoformat(row["timestamp"]) - before) < timedelta(seconds=10)


def test_javascript_reads_our_problems(tenant: Tenant, openmeter_sdk: Client) -> None:
    """A 400 and a 401 are its HTTPError, with our detail and code."""
    client = openmeter_sdk.at(tenant.stack.url, tenant.key)
    with pytest.raises(Refused) as bad:
        client("ingest", cloud_event("bad", subject=""))
    assert (bad.value.kind, bad.value.status) == ("HTTPError", 400)
    assert "subject: " in bad.value.message
    assert bad.value.data["code"] == "validation_error"
    with pytest.raises(Refused) as wrong:
        client.at(key="wrong")("ingest", cloud_event("x"))
    assert (wrong.value.kind, wrong.value.status) == ("HTTPError", 401)
    assert "API key" in wrong.value.message
