"""What an upload that ended is told to do next: a sender that does it loses nothing and counts
nothing twice.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.log.events import SqliteEventLog
from ingest_gateway.errors import NotStored, OutcomeUnknown
from ingest_gateway.settings import Settings
from schemas.event import idempotent_event_id
from tests.ingest_gateway.cloud_events import LEAST
from tests.ingest_gateway.conftest import serving
from tests.ingest_gateway.uploading import FORMS, Log, event, lines, log_of, unnamed, upload

STREAMED = ["lines", "array"]
KEY = {"Idempotency-Key": "job-1"}
BATCH = 2_000
UNDER_THE_SAME = "under the same Idempotency-Key"
WHOLE = f"send the whole upload again {UNDER_THE_SAME}"


async def names_in_log(directory: Path) -> dict[str, str]:
    """What stands for each event ID in the end: here each event has a name of its own."""
    return {one["event_id"]: one["event_name"] for one in await log_of(directory)}


def named(count: int) -> list[Any]:
    """Events without IDs."""
    return [{**unnamed(0), "event_name": f"n{number}"} for number in range(count)]


@pytest.mark.parametrize("form", STREAMED)
async def test_what_is_mended_under_a_key_goes_again_as_a_whole(
    form: str, log: SqliteEventLog, tmp_path: Path
) -> None:
    """The part behind a bad event, alone under the same key, would supersede the first events."""
    content_type, write, _, _ = FORMS[form]
    events = named(3_000)
    bad = [*events[:2_500], {**events[2_500], "event_name": ""}, *events[2_501:]]
    async with serving(log, Settings()) as session:
        status, answer = await upload(session, write(bad), content_type, **KEY)
        assert (status, answer["details"]["accepted"]) == (400, 2_500)
        assert answer["message"].endswith(f"mend it and {WHOLE}")
        assert "go on" not in answer["message"]
        assert (await upload(session, write(events), content_type, **KEY))[0] == 202
    assert await names_in_log(tmp_path) == {
        idempotent_event_id("acme", "job-1", at): f"n{at}" for at in range(3_000)
    }


async def test_what_is_left_of_a_partial_upload_goes_under_another_key(
    log: SqliteEventLog, tmp_path: Path
) -> None:
    """The answer says so when there is something left and there was a key."""
    events = named(3)
    bad = [events[0], {**events[1], "event_name": ""}, events[2]]
    async with serving(log, Settings()) as session:
        status, answer = await upload(session, lines(bad), query="?partial=true", **KEY)
        assert (status, answer["refused"]) == (202, 1)
        assert "send them under another Idempotency-Key" in answer["message"]
        another = {"Idempotency-Key": "job-1-mended"}
        for headers in (another, {}):
            _, answer = await upload(session, lines([events[1]]), query="?partial=1", **headers)
            assert answer["message"] == "Events accepted for processing"
        _, answer = await upload(session, lines(bad), query="?partial=true")
        assert answer["message"] == "Events accepted for processing"
    found = await names_in_log(tmp_path)
    assert {found[idempotent_event_id("acme", "job-1", at)] for at in (0, 2)} == {"n0", "n2"}
    assert found[idempotent_event_id("acme", "job-1-mended", 0)] == "n1"


@pytest.mark.parametrize("form", STREAMED)
@pytest.mark.parametrize("error", [NotStored("full"), OutcomeUnknown("slow")])
async def test_a_log_that_fails_under_a_key_is_tried_again_as_a_whole(
    error: Exception, form: str
) -> None:
    """Whatever became of the batch: the same events have the same IDs then."""
    content_type, write, _, _ = FORMS[form]
    failing = Log(fail={1: error})
    body = write(named(5_000))
    async with serving(failing, Settings()) as session:
        status, answer = await upload(session, body, content_type, **KEY)
        assert (status, answer["details"]["accepted"]) == (503, len(failing.keys))
        assert answer["message"].endswith(WHOLE)
        failing.fail = {failing.appends: error}
        _, answer = await upload(session, body, content_type, "?partial=1", **KEY)
        assert f"again, every event at its place, {UNDER_THE_SAME}" in answer["message"]
        assert (await upload(session, body, content_type, **KEY))[0] == 202
    expected = {
        b"acme\0" + idempotent_event_id("acme", "job-1", at).encode() for at in range(5_000)
    }
    assert set(failing.keys) == expected


@pytest.mark.parametrize("form", STREAMED)
async def test_a_batch_in_doubt_is_sent_again_under_the_ids_told(form: str) -> None:
    """Without a key, and with IDs of their own on some, each made ID is told with its place."""
    content_type, write, unit, start = FORMS[form]
    events = [one if at % 3 else event(at) for at, one in enumerate(named(5_000))]
    failing = Log(fail={1: OutcomeUnknown("slow")})
    async with serving(failing, Settings()) as session:
        status, answer = await upload(session, write(events), content_type)
        details = answer["details"]
        assert status == 503
        assert answer["message"].count("send them again") == 1
        assert "details.made_for" in answer["message"]
        first = details[unit] - start
        for number, event_id in zip(details["made_for"], details["event_ids"], strict=True):
            events[number - start]["event_id"] = event_id
        landed = [*failing.keys, *failing.failed_keys]  # it did come in, late
        assert (await upload(session, write(events[first:]), content_type))[0] == 202
    assert len(failing.failed_keys) >= BATCH
    assert len({*landed, *failing.keys}) == 5_000


async def test_a_batch_in_doubt_with_ids_of_its_own_is_sent_again_under_those() -> None:
    """Then there is nothing to be told but from where."""
    failing = Log(fail={0: OutcomeUnknown("slow")})
    async with serving(failing, Settings()) as session:
        status, answer = await upload(session, lines(event(number) for number in range(5)))
    assert (status, answer["details"]) == (503, {"line": 1, "outcome": "unknown", "accepted": 0})
    assert answer["message"].endswith("send them again from line 1 on, under the same event IDs")


@pytest.mark.parametrize(
    ("bad", "most"),
    [(b'{"b":1}\n', 10_000), (json.dumps({"\u0001" * 100: 1}).encode() + b"\n", 5_000)],
    ids=["by number", "by bytes"],
)
async def test_where_the_list_of_the_refused_is_full_the_upload_ends(
    bad: bytes, most: int, log: SqliteEventLog, tmp_path: Path
) -> None:
    """Every event is accepted, listed, or behind the line to go on from; the answer is small."""
    pairs = 15_000
    good = [lines([event(number)]) for number in range(pairs)]
    body = b"".join(bad + one for one in good)
    async with serving(log, Settings()) as session:
        status, answer = await upload(session, body, query="?partial=true")
    details = answer["details"]
    listed, go_on = [one["line"] for one in details["errors"]], details["line"]
    assert status == 400
    assert f"go on from line {go_on}" in answer["message"]
    assert details["refused"] == len(listed) <= most
    assert listed == list(range(1, go_on, 2))
    found = {one["event_id"] for one in await log_of(tmp_path)}
    assert found == {f"e{number}" for number in range(details["accepted"])}
    assert go_on == 2 * details["accepted"] + 1
    assert len(json.dumps(details)) < 5 << 20


@pytest.mark.parametrize("content_type", ["application/json", "application/cloudevents-batch+json"])
@pytest.mark.parametrize("count", [50, 9_000])
async def test_the_list_of_a_bulk_that_is_all_or_nothing_is_bounded(
    content_type: str, count: int, log: SqliteEventLog, tmp_path: Path
) -> None:
    """An object or a batch of bad events gets an answer of a few megabytes at the most, which says
    where its list ends.
    """
    is_batch = "batch" in content_type
    path = "/api/v1/events" if is_batch else "/v1/events/bulk"
    whole = LEAST if is_batch else event(0)
    events = [{**whole, "\u0001" * 100: number} for number in range(count)]
    body = json.dumps(events if is_batch else {"events": events}).encode()
    async with serving(log, Settings()) as session:
        headers = {"Content-Type": content_type}
        async with session.post(path, data=io.BytesIO(body), headers=headers) as response:
            text = await response.read()
            answer = json.loads(text)
    assert (response.status, await log_of(tmp_path)) == (400, [])
    assert len(text) < 3 << 20
    listed = answer["details"]["errors"]
    assert [one["index"] for one in listed] == list(range(len(listed)))
    message = answer["detail" if is_batch else "message"]
    assert f"of {count} events are bad and none was taken" in message
    assert (len(listed) < count) == (count == 9_000)
    if len(listed) < count:
        assert f"no more than those before {'' if is_batch else 'events'}[{len(listed)}]" in message
