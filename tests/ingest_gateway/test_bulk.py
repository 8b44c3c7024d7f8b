"""The forms of bulk over HTTP: what is answered, and what is in the log then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.log.events import SqliteEventLog
from ingest_gateway.settings import Settings
from schemas.event import MAX_PROPERTIES_BYTES, idempotent_event_id
from tests.ingest_gateway.conftest import serving
from tests.ingest_gateway.uploading import (
    FORMS,
    NDJSON,
    PACKERS,
    array,
    event,
    ids_in_log,
    lines,
    log_of,
    unnamed,
    upload,
)

ACCEPTED = {"message": "Events accepted for processing"}


@pytest.mark.parametrize("encoding", PACKERS)
async def test_every_form_in_every_encoding(
    encoding: str, log: SqliteEventLog, tmp_path: Path
) -> None:
    """The answer is FlexPrice's, and all events are in the log."""
    encoded = {"Content-Encoding": encoding}
    expected = set()
    async with serving(log, Settings()) as session:
        for number, (content_type, write, _, _) in enumerate(FORMS.values()):
            events = [event(at, event_id=f"{number}-{at}") for at in range(3_000)]
            expected |= {one["event_id"] for one in events}
            body = PACKERS[encoding](write(events))
            assert await upload(session, body, content_type, **encoded) == (202, ACCEPTED)
        single = PACKERS[encoding](json.dumps(event(0, event_id="single")).encode())
        headers = {"Content-Type": "application/json", **encoded}
        async with session.post("/v1/events", data=single, headers=headers) as response:
            assert response.status == 202
    assert await ids_in_log(tmp_path) == expected | {"single"}


@pytest.mark.parametrize(
    "content_type", [NDJSON, "application/ndjson", "application/jsonl; charset=utf-8"]
)
async def test_every_name_of_ndjson(content_type: str, log: SqliteEventLog, tmp_path: Path) -> None:
    """A stream of lines has several content types; CRLF, blank lines and a byte order mark pass."""
    body = b"\xef\xbb\xbf" + lines([event(0)]).strip() + b"\r\n\r\n" + lines([event(1)]).strip()
    async with serving(log, Settings()) as session:
        assert await upload(session, body, content_type) == (202, ACCEPTED)
    assert await ids_in_log(tmp_path) == {"e0", "e1"}


async def test_an_array_is_known_by_its_first_byte(log: SqliteEventLog, tmp_path: Path) -> None:
    """Behind blanks and a byte order mark, too; an object is taken as before."""
    async with serving(log, Settings()) as session:
        for start in (b"", b"  \r\n\t ", b"\xef\xbb\xbf", b" " * 300_000):
            status, answer = await upload(session, start + array([event(0)]), "application/json")
            assert (status, answer) == (202, ACCEPTED)
    assert len(await log_of(tmp_path)) == 4


@pytest.mark.parametrize("form", ["lines", "array"])
@pytest.mark.parametrize("bad_at", [0, 1, 2_500, 4_999])
async def test_the_first_bad_event_stops_a_stream(
    form: str, bad_at: int, log: SqliteEventLog, tmp_path: Path
) -> None:
    """Exactly those before it are in the log, and the answer says how many and where."""
    content_type, write, unit, start = FORMS[form]
    events = [event(number) for number in range(5_000)]
    events[bad_at]["event_name"] = ""
    async with serving(log, Settings()) as session:
        status, answer = await upload(session, write(events), content_type)
    assert (status, answer["code"]) == (400, "validation_error")
    assert answer["details"] == {
        "field": "event_name",
        "accepted": bad_at,
        unit: bad_at + start,
    }
    assert f"{unit} {bad_at + start}: event_name: must not be empty" in answer["message"]
    assert await ids_in_log(tmp_path) == {f"e{number}" for number in range(bad_at)}


@pytest.mark.parametrize("form", FORMS)
async def test_partial_takes_the_good_and_names_the_bad(
    form: str, log: SqliteEventLog, tmp_path: Path
) -> None:
    """Each bad one with its place, field and reason; a retry of just those is enough."""
    content_type, write, unit, start = FORMS[form]
    events: list[Any] = [event(number) for number in range(3_000)]
    events[0] = {**event(0), "event_name": ""}
    events[7] = {**event(7), "timestamp": "yesterday"}
    events[1_500] = 5
    events[2_999] = {**event(2_999), "properties": {"a": "x" * MAX_PROPERTIES_BYTES}}
    bad = {0: "event_name", 7: "timestamp", 1_500: "", 2_999: "properties"}
    async with serving(log, Settings()) as session:
        status, answer = await upload(session, write(events), content_type, "?partial=true")
    assert status == 202
    assert (answer["message"], answer["accepted"], answer["refused"]) == (
        "Events accepted for processing",
        2_996,
        4,
    )
    assert {(one[unit] - start, one["field"]) for one in answer["errors"]} == set(bad.items())
    assert {one["code"] for one in answer["errors"]} == {"validation_error"}
    expected = {f"e{number}" for number in range(3_000) if number not in bad}
    assert await ids_in_log(tmp_path) == expected


async def test_partial_names_lines_that_are_no_json(log: SqliteEventLog, tmp_path: Path) -> None:
    """Lines are counted as a person counts them: from 1, blank ones too."""
    body = b"\n".join(
        [
            lines([event(0)]).strip(),
            b"",
            b'{"event_name":',
            b'{"event_name":"\xff","external_customer_id":"c"}',
            b"x" * 300_000,
            b'{"properties":' + b"[" * 5_000,
            lines([event(1)]).strip() + b"," + lines([event(2)]).strip(),
            lines([event(3)]).strip(),
        ]
    )
    async with serving(log, Settings()) as session:
        status, answer = await upload(session, body, query="?partial=1")
    assert (status, answer["accepted"]) == (202, 2)
    reasons = {one["line"]: one["message"] for one in answer["errors"]}
    assert list(reasons) == [3, 4, 5, 6, 7]
    expected = ("is not JSON", "is not UTF-8 (byte 15)", "is over 256 KiB", "nested too deep", "is")
    for (line, reason), words in zip(reasons.items(), expected, strict=True):
        assert words in reason, line
    assert await ids_in_log(tmp_path) == {"e0", "e3"}


@pytest.mark.parametrize("form", FORMS)
async def test_partial_of_nothing_good_is_a_400(
    form: str, log: SqliteEventLog, tmp_path: Path
) -> None:
    """With the same list, and nothing in the log."""
    content_type, write, unit, start = FORMS[form]
    async with serving(log, Settings()) as session:
        status, answer = await upload(session, write([{}, 1]), content_type, "?partial=true")
    assert status == 400
    assert answer["details"]["accepted"] == 0
    assert [one[unit] for one in answer["details"]["errors"]] == [start, start + 1]
    assert await log_of(tmp_path) == []


@pytest.mark.parametrize("body", [b"", b"\n\n", b" \r\n"])
async def test_no_events_are_a_400(body: bytes, log: SqliteEventLog) -> None:
    """A sender that believes to have sent something hears that it has not."""
    async with serving(log, Settings()) as session:
        for query in ("", "?partial=true"):
            status, answer = await upload(session, body, query=query)
            assert (status, answer["message"]) == (400, "the body holds no events")
            status, answer = await upload(session, b"[" + body + b"]", "application/json", query)
            assert (status, answer["message"]) == (400, "the body holds no events")
        assert (await upload(session, body, "application/json"))[0] == 400


@pytest.mark.parametrize(
    "query", ["?partial=yes", "?partial=", "?partial=1&partial=1", "?parital=true", "?a"]
)
async def test_another_query_is_a_400(query: str, log: SqliteEventLog, tmp_path: Path) -> None:
    """A misspelt one is not silently dropped."""
    async with serving(log, Settings()) as session:
        status, answer = await upload(session, lines([event(0)]), query=query)
    assert (status, answer["code"]) == (400, "validation_error")
    assert "partial" in answer["message"]
    assert await log_of(tmp_path) == []


async def test_more_than_ten_thousand_refused_stop_it(log: SqliteEventLog, tmp_path: Path) -> None:
    """Something else than events was sent: the rest is not read, and what was good stays."""
    body = lines([event(0)]) + lines([{"a" * 10_000: 1}] * 200) + lines([{"b": 1}] * 20_000)
    async with serving(log, Settings()) as session:
        status, answer = await upload(session, body, query="?partial=true")
    assert status == 400
    assert "more than 10000 events were refused: is this the right form?" in answer["message"]
    details = answer["details"]
    assert (details["accepted"], details["refused"], len(details["errors"])) == (1, 10_000, 10_000)
    assert max(len(json.dumps(error)) for error in details["errors"]) < 600
    assert await ids_in_log(tmp_path) == {"e0"}


@pytest.mark.parametrize("form", FORMS)
async def test_made_ids_go_by_the_place_in_the_whole_upload(
    form: str, log: SqliteEventLog, tmp_path: Path
) -> None:
    """A retry under the same Idempotency-Key gives the same IDs, refused and blank lines or not."""
    content_type, write, _, _ = FORMS[form]
    events = [unnamed(number) for number in range(4_000)]
    events[5]["event_name"] = ""
    body = write(events)
    expected = {idempotent_event_id("acme", "k", at) for at in range(4_000) if at != 5}
    if form == "lines":
        body = b"\n" + body
        expected = {idempotent_event_id("acme", "k", at + 1) for at in range(4_000) if at != 5}
    async with serving(log, Settings()) as session:
        for _ in range(2):
            key = {"Idempotency-Key": "k"}
            status, _ = await upload(session, body, content_type, "?partial=true", **key)
            assert status == 202
    found = [one["event_id"] for one in await log_of(tmp_path)]
    assert len(found) == 2 * 3_999
    assert set(found) == expected


@pytest.mark.parametrize("form", ["lines", "array"])
async def test_of_two_events_with_one_id_the_later_is_appended_later(
    form: str, log: SqliteEventLog, tmp_path: Path
) -> None:
    """In whichever batches they went."""
    content_type, write, _, _ = FORMS[form]
    events = [event(number % 7, source=str(number)) for number in range(10_000)]
    async with serving(log, Settings()) as session:
        assert (await upload(session, write(events), content_type))[0] == 202
    last: dict[str, int] = {}
    found = await log_of(tmp_path)
    for one in found:
        assert last.get(one["event_id"], -1) < int(one["source"])
        last[one["event_id"]] = int(one["source"])
    assert len(found) == 10_000


async def test_lines_that_say_to_be_json_are_told_what_they_are(
    log: SqliteEventLog, tmp_path: Path
) -> None:
    """A common slip; and a type that is neither is a 415 that names both."""
    body = lines([event(0), event(1)])
    async with serving(log, Settings()) as session:
        for sent in (body, body.replace(b"\n", b"\r\n")):
            status, answer = await upload(session, sent, "application/json")
            assert status == 400
            assert "send an event a line as Content-Type: application/x-ndjson" in answer["message"]
        status, answer = await upload(session, body, "text/csv")
        assert status == 415
        assert "application/x-ndjson" in answer["message"]
    assert await log_of(tmp_path) == []
