"""CloudEvents through the whole pipeline: sent in every mode, read in FlexPrice's dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.pipeline.client import Tenant, ago, event, new_tenant
from tests.support.stack import Stack

PATH = "/api/v1/events"
DATA = {"n": 2**60 + 1, "città": ["Zürich", None, {"a.b": 0.1}]}


@pytest.fixture(scope="module")
def tenant(stack: Stack) -> Tenant:
    return new_tenant(stack, "cloudevents")


def cloud_event(id_: str, **changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": id_,
        "source": "urn:app",
        "type": "call",
        "subject": "acme",
        "data": DATA,
        **changes,
    }


def post(tenant: Tenant, body: Any, content_type: str, **headers: str) -> None:
    """Send it and insist on the 204 without a body."""
    given = {"authorization": f"Bearer {tenant.key}", "content-type": content_type, **headers}
    answer = tenant.request("POST", PATH, json.dumps(body).encode(), given)
    assert (answer.status, answer.body) == (204, b""), answer


def test_every_mode_makes_the_same_event(tenant: Tenant) -> None:
    """Structured, batch, binary and plain JSON all arrive with each attribute in its place."""
    at = ago(hours=5)
    post(tenant, cloud_event("structured", time=at), "application/cloudevents+json")
    batch = [cloud_event(f"batch {number}", time=at) for number in range(3)]
    post(tenant, batch, "application/cloudevents-batch+json; charset=UTF-8")
    post(tenant, cloud_event("plain", time=at), "application/json")
    post(tenant, [cloud_event("array", time=at)], "application/json")
    attributes = {
        f"ce-{name}": str(value).replace(" ", "%20")
        for name, value in cloud_event("binary ü", time=at).items()
        if name != "data"
    }
    attributes["ce-id"] = "binary%20%C3%BC"
    post(tenant, DATA, "application/json", **attributes)
    sent = ("structured", "batch 0", "batch 1", "batch 2", "plain", "array", "binary ü")
    for id_ in sent:
        event_id = f'["urn:app","{id_}"]'
        tenant.wait_for(event_id)
        assert tenant.lookup(event_id).json == {
            "id": event_id,
            "event_name": "call",
            "external_customer_id": "acme",
            "customer_id": None,
            "timestamp": at,
            "properties": DATA,
            "source": "urn:app",
            "environment_id": tenant.name,
        }


def test_sent_again_it_supersedes(tenant: Tenant) -> None:
    """One pair of source and id is one event: the last of a batch, then the last of any dialect."""
    batch = [cloud_event("again", subject=f"customer-{n}", data={"n": n}) for n in range(5)]
    post(tenant, batch, "application/cloudevents-batch+json")
    event_id = '["urn:app","again"]'
    tenant.wait_for(event_id)
    assert tenant.lookup(event_id).json["properties"] == {"n": 4}
    tenant.send(event(event_id, properties={"n": "flexprice"}))
    tenant.stack.wait_until_stored()
    (row,) = tenant.page(event_id=event_id)["events"]
    assert (row["properties"], row["source"]) == ({"n": "flexprice"}, None)


def test_another_source_is_another_event(tenant: Tenant) -> None:
    """The same id from two sources is two events, however the two are cut."""
    pairs = [("a", "b"), ("a,b", ""), ("b", "a"), ('a","b', "c"), ("a", 'b","c')]
    pairs = [(source, id_) for source, id_ in pairs if id_]
    batch = [cloud_event(id_, source=source, type="pairs") for source, id_ in pairs]
    post(tenant, batch, "application/cloudevents-batch+json")
    tenant.stack.wait_until_stored()
    rows = tenant.query(event_name="pairs")["events"]
    assert sorted(json.loads(row["id"]) for row in rows) == sorted([s, i] for s, i in pairs)


def test_a_bad_batch_takes_nothing(tenant: Tenant) -> None:
    """All or nothing, and the problem names each bad index."""
    batch = [cloud_event("none-0"), cloud_event("none-1", subject=None), cloud_event("none-2")]
    headers = {"x-api-key": tenant.key, "content-type": "application/cloudevents-batch+json"}
    answer = tenant.request("POST", PATH, json.dumps(batch).encode(), headers)
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert [bad["index"] for bad in answer.json["details"]["errors"]] == [1]
    post(tenant, cloud_event("after"), "application/cloudevents+json")
    tenant.wait_for('["urn:app","after"]')
    tenant.stack.wait_until_stored()
    for id_ in ("none-0", "none-2"):
        assert tenant.lookup(f'["urn:app","{id_}"]').status == 404
