"""A bulk's object that is large: read in steps, and answered as a small one is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.embedded.log.events import SqliteEventLog
from ingest_gateway.settings import Settings
from tests.ingest_gateway.conftest import serving
from tests.ingest_gateway.uploading import array, event, log_of, upload


@pytest.mark.parametrize(
    "wrap",
    [
        lambda events: b'{"events":%b}' % events,
        lambda events: b' {\n "events" : \r\n%b\t}\n' % events,
        lambda events: b'{"events":%b,"more":[{}]}' % events,
        lambda events: b'{"more":{"events":[]},"events":%b}' % events,
    ],
    ids=["plain", "blanks", "more after", "more before"],
)
@pytest.mark.parametrize("query", ["", "?partial=true"])
async def test_a_large_object_is_read_as_a_small_one(
    wrap: Callable[[bytes], bytes], query: str, log: SqliteEventLog, tmp_path: Path
) -> None:
    """In steps; whatever else is in it, all its events are taken or every bad one is named."""
    events = [event(number, source="s" * 200) for number in range(3_000)]
    bad = [dict(one) for one in events]
    for index in (17, 2_999):
        bad[index]["event_name"] = ""
    async with serving(log, Settings()) as session:
        status, answer = await upload(session, wrap(array(bad)), "application/json", query)
        assert status == (202 if query else 400)
        errors = answer["errors"] if query else answer["details"]["errors"]
        assert [(error["index"], error["field"], error["message"]) for error in errors] == [
            (index, "event_name", "event_name: must not be empty") for index in (17, 2_999)
        ]
        assert len(await log_of(tmp_path)) == (2_998 if query else 0)
        assert (await upload(session, wrap(array(events)), "application/json", query))[0] == 202
    assert {one["event_id"] for one in await log_of(tmp_path)} == {f"e{n}" for n in range(3_000)}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"events":[%b]}' % b",".join([b"{}"] * 200_000), "holds 10001 events or more, 1 to"),
        (b'{"events":[%b' % b",".join([b"{}"] * 200_000), "is not JSON"),
        (b'{"events":[%b]}}' % b",".join([b"{}"] * 200_000), "is not JSON"),
        (b'{"events":[%b]}' % (b" " * 600_000), "holds 0 events"),
        (b'{"events":[1,%b]}' % (b"[" * 600_000), "is not JSON"),
    ],
    ids=["too many", "cut", "too much", "none", "deep"],
)
@pytest.mark.parametrize("query", ["", "?partial=true"])
async def test_a_large_object_that_is_wrong_as_a_whole(
    body: bytes, reason: str, query: str, log: SqliteEventLog, tmp_path: Path
) -> None:
    """The answer is that of a small one, and nothing is in the log."""
    async with serving(log, Settings()) as session:
        status, answer = await upload(session, body, "application/json", query)
    assert status == 400
    assert reason in answer["message"] or "too deep" in answer["message"]
    assert await log_of(tmp_path) == []
