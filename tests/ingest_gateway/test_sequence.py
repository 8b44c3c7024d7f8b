"""Sequence's dialect of sending: what is read and answered, and what is in the log then."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.log.events import SqliteEventLog
from ingest_gateway.errors import OutcomeUnknown
from ingest_gateway.events import Sender
from ingest_gateway.sequence import created_answer, read_event
from ingest_gateway.settings import Settings
from schemas.errors import ApiError
from schemas.event import Event
from tests.ingest_gateway.conftest import serving
from tests.ingest_gateway.test_app import FailingLog, in_log, post
from tests.support.usage_events import check_event, is_uuid7

NOW = datetime(2026, 11, 22, 12, 0, 0, 1, tzinfo=UTC)
PATH = "/api/usage-events"
LEAST: dict[str, Any] = {"customerAlias": "c", "eventType": "n"}


def sender(idempotency_key: str | None = None) -> Sender:
    return Sender("t", NOW, Settings(), idempotency_key)


def read(body: dict[str, Any], by: Sender | None = None) -> tuple[Event, list[str]]:
    (event,), made_ids = read_event([], json.dumps(body).encode(), by or sender())
    return event, made_ids


@pytest.mark.unit
def test_the_least_event_is_filled_in() -> None:
    """Its own new ID is its event ID, the time is now, it has no properties; null is as absent."""
    nulls = {"customerEventId": None, "eventTimestamp": None, "eventProperties": None}
    for body in (LEAST, {**LEAST, **nulls}):
        event, made_ids = read(body)
        assert made_ids == [event.event_id]
        assert event.send_id == event.event_id
        assert json.loads(created_answer(event)) == {
            "id": event.send_id,
            "customerEventId": event.send_id,
            "customerAlias": "c",
            "eventType": "n",
            "sequenceAccountId": "t",
            "eventTimestamp": "2026-11-22T12:00:00.000001Z",
            "eventProperties": {},
        }
        check_event(json.loads(created_answer(event)))


@pytest.mark.unit
def test_every_field_is_mapped() -> None:
    """To the one event that all dialects share, and back; properties stay the bytes they were."""
    properties = '{ "b":1.50, "a" : 12345678901234567890123, "{\\"x":null }'
    body = (
        '{"customerEventId":"e","customerAlias":"c","eventType":"n",'
        f'"eventTimestamp":"2026-11-01T02:00:00+02:00","eventProperties":{properties}}}'
    )
    (event,), made_ids = read_event(["2024-07-30"], body.encode(), sender())
    assert made_ids == []
    assert event == Event(
        tenant="t",
        event_id="e",
        event_name="n",
        external_customer_id="c",
        customer_id="",
        source="",
        timestamp="2026-11-01T00:00:00.000000Z",
        properties=event.properties,
        send_id=event.send_id,
    )
    assert bytes(event.properties) == properties.encode()
    answer = created_answer(event)
    assert properties.encode() in answer
    assert b'"eventTimestamp":"2026-11-01T00:00:00Z"' in answer


@pytest.mark.unit
def test_each_send_has_an_id_of_its_own() -> None:
    """Also where the sender names the event, or repeats a request under an Idempotency-Key: then
    the event's ID is the same again and only that of the send is new.
    """
    named = [read({**LEAST, "customerEventId": "e"})[0] for _ in range(2)]
    keyed = [read(LEAST, sender("again"))[0] for _ in range(2)]
    assert len({event.send_id for event in (*named, *keyed)}) == 4
    assert all(is_uuid7(event.send_id or "") for event in (*named, *keyed))
    assert keyed[0].event_id == keyed[1].event_id == sender("again").make_id(0)
    assert read(LEAST, sender("other"))[0].event_id != keyed[0].event_id
    assert read(LEAST, sender("again"))[1] == [keyed[0].event_id]


@pytest.mark.unit
@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"customerAlias": "c"}, "eventType", "is required"),
        ({"eventType": "n"}, "customerAlias", "is required"),
        ({**LEAST, "customerAlias": ""}, "customerAlias", "empty"),
        ({**LEAST, "eventType": "n" * 256}, "eventType", "255"),
        ({**LEAST, "customerEventId": ""}, "customerEventId", "empty"),
        ({**LEAST, "customerEventId": "x" * 513}, "customerEventId", "512"),
        ({**LEAST, "customerEventId": 1}, "customerEventId", "str"),
        ({**LEAST, "eventTimestamp": "2026-11-22"}, "eventTimestamp", "offset"),
        ({**LEAST, "eventTimestamp": "2036-11-22T00:00:00Z"}, "eventTimestamp", "ahead"),
        ({**LEAST, "eventProperties": [1]}, "eventProperties", "object"),
        ({**LEAST, "eventProperties": {"a": "x" * 65536}}, "eventProperties", "long"),
        ({**LEAST, "customerEventID": "x"}, "customerEventID", "is no field of an event"),
        ({**LEAST, "event_type": "x"}, "event_type", "is no field of an event"),
    ],
)
def test_the_field_at_fault_is_named(body: dict[str, Any], field: str, words: str) -> None:
    """As this dialect writes it, in the text and in the details."""
    with pytest.raises(ApiError, match=f"^{field}: .*{words}") as refused:
        read(body)
    assert refused.value.status == 400
    assert refused.value.details == {"field": field}


@pytest.mark.unit
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"customerAlias":"\xff"}'])
def test_what_is_no_object_is_a_400(body: bytes) -> None:
    """Whatever the bytes are."""
    with pytest.raises(ApiError) as refused:
        read_event([], body, sender())
    assert refused.value.status == 400


async def test_a_201_means_the_event_is_in_the_log(log: SqliteEventLog, tmp_path: Path) -> None:
    """With the ID that was answered, under tenant and event ID, before the answer came."""
    async with serving(log, Settings()) as session:
        status, answer = await post(session, PATH, {**LEAST, "customerEventId": "e"})
        (record,) = await in_log(tmp_path)
    assert status == 201
    check_event(answer)
    assert record.key == b"acme\0e"
    assert record.headers["tally-dialect"] == b"sequence"
    assert json.loads(record.value)["send_id"] == answer["id"]


async def test_refusals_have_the_dialects_shape(log: SqliteEventLog, tmp_path: Path) -> None:
    """A bad body, an unknown version, no key, a wrong secret; and a 401 asks for Basic."""
    async with serving(log, Settings()) as session:
        wrong = {"Authorization": f"Basic {base64.b64encode(b'key_1:secret').decode()}"}
        for status, body, headers in (
            (400, {}, {}),
            (400, LEAST, {"Sequence-Version": "2020-01-01"}),
            (401, LEAST, {"x-api-key": "tally_wrong"}),
        ):
            got, answer = await post(session, PATH, body, **headers)
            assert (got, answer["statusCode"]) == (status, status)
            assert set(answer) <= {"code", "message", "statusCode", "details"}
        session.headers.pop("x-api-key")
        for headers in ({}, wrong, {"Authorization": "Basic !"}):
            async with session.post(PATH, json=LEAST, headers=headers) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"] == 'Basic realm="Tally"'
                assert (await response.json())["statusCode"] == 401
    assert await in_log(tmp_path) == []


async def test_an_unknown_outcome_tells_the_id_that_was_made() -> None:
    """So that the sender can send the event again under it; not one that the sender knows."""
    async with serving(FailingLog(OutcomeUnknown("slow")), Settings()) as session:
        status, answer = await post(session, PATH, LEAST)
        assert (status, answer["details"]["outcome"]) == (503, "unknown")
        (made,) = answer["details"]["event_ids"]
        assert is_uuid7(made)
        _, answer = await post(session, PATH, {**LEAST, "customerEventId": made})
        assert answer["details"] == {"outcome": "unknown"}
        keyed = [await post(session, PATH, LEAST, **{"Idempotency-Key": "k"}) for _ in range(2)]
        assert keyed[0][1]["details"]["event_ids"] == keyed[1][1]["details"]["event_ids"]
