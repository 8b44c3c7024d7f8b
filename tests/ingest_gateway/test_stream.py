"""A streamed upload that goes wrong on its way: what is in the log then, and what the sender hears.

Batches are of 2,000 events.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientConnectionError

from deploy.embedded.log.events import SqliteEventLog
from ingest_gateway.errors import NotStored, OutcomeUnknown
from ingest_gateway.settings import Settings
from tests.ingest_gateway.conftest import serving
from tests.ingest_gateway.uploading import (
    FORMS,
    Log,
    array,
    event,
    eventually,
    ids_in_log,
    lines,
    unnamed,
    upload,
)

BATCH = 2_000


@pytest.mark.parametrize("form", ["lines", "array"])
@pytest.mark.parametrize("query", ["", "?partial=true"])
@pytest.mark.parametrize(
    ("error", "outcome"), [(NotStored("full"), "not_stored"), (OutcomeUnknown("slow"), "unknown")]
)
async def test_a_log_that_fails_is_a_503_that_says_where(
    error: Exception, outcome: str, query: str, form: str
) -> None:
    """What was accepted, the first event that surely was not, and of the IDs that we made only
    those in doubt. Nothing is appended after it.
    """
    content_type, write, unit, start = FORMS[form]
    failing = Log(fail={2: error})
    body = write(unnamed(number) for number in range(20_000))
    async with serving(failing, Settings()) as session:
        status, answer = await upload(session, body, content_type, query)
    details = answer["details"]
    assert (status, details["outcome"]) == (503, outcome)
    assert details["accepted"] == len(failing.keys) >= 2 * BATCH
    assert details[unit] == details["accepted"] + start
    words = "go on from" if outcome == "not_stored" else "send them again from"
    assert f"{words} {unit} {details[unit]}" in answer["message"]
    assert failing.appends == 3
    made = details.get("event_ids", [])
    assert len(made) == (outcome == "unknown") * len(made)
    if outcome == "unknown":
        assert BATCH <= len(made) < 1.5 * BATCH
        assert not {b"acme\0" + one.encode() for one in made} & set(failing.keys)


@pytest.mark.parametrize("form", FORMS)
async def test_only_ids_of_events_in_doubt_are_told(form: str) -> None:
    """None of an event that was refused, although one had been made for it."""
    content_type, write, _, start = FORMS[form]
    events = [unnamed(number) for number in range(20)]
    events[7]["timestamp"] = events[9]["timestamp"] = "yesterday"
    failing = Log(fail={0: OutcomeUnknown("slow")})
    async with serving(failing, Settings()) as session:
        status, answer = await upload(session, write(events), content_type, "?partial=true")
    details = answer["details"]
    assert (status, details["accepted"], details["refused"]) == (503, 0, 2)
    assert [b"acme\0" + made.encode() for made in details["event_ids"]] == failing.failed_keys
    assert len(failing.failed_keys) == 18
    assert details["made_for"] == [at + start for at in range(20) if at not in (7, 9)]


async def test_a_log_that_fails_comes_before_what_is_read_after_it() -> None:
    """A bad line behind a batch that failed: the sender hears of the batch."""
    failing = Log(fail={0: NotStored("full")})
    body = lines(event(number) for number in range(BATCH)) + b"{}\n"
    async with serving(failing, Settings()) as session:
        status, answer = await upload(session, body)
    assert (status, answer["details"]["accepted"], answer["details"]["line"]) == (503, 0, 1)


async def test_one_batch_is_appended_while_the_next_is_read() -> None:
    """Never two at once, or a later line could be appended first; and the upload is not held in
    memory while the log is slow.
    """
    slow = Log(hold=0)
    sent = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal sent
        for start in range(0, 20_000, 100):
            yield lines(event(start + at, properties={"a": "x" * 1000}) for at in range(100))
            sent += 100

    async with serving(slow, Settings()) as session:
        uploading = asyncio.create_task(upload(session, counted()))
        await eventually(lambda: slow.appends == 1)
        before = -1
        while before != sent:  # until the connection is full
            before = sent
            await asyncio.sleep(0.3)
        assert slow.appends == 1
        assert sent < 20_000
        slow.go_on.set()
        assert (await uploading)[0] == 202
    assert slow.most_at_once == 1
    assert slow.keys == [b"acme\0e%d" % number for number in range(20_000)]


@pytest.mark.parametrize("partial", ["", "?partial=true"])
async def test_a_body_that_is_cut_is_taken_up_to_there(
    partial: str, log: SqliteEventLog, tmp_path: Path
) -> None:
    """Of a gzip without its end, what came is in the log, and the answer says how much."""
    packed = gzip.compress(lines(event(number) for number in range(10_000)))
    async with serving(log, Settings()) as session:
        status, answer = await upload(
            session, packed[: len(packed) // 2], query=partial, **{"Content-Encoding": "gzip"}
        )
    details = answer["details"]
    assert (status, details["field"]) == (400, "Content-Encoding")
    assert 1_000 < details["accepted"] < 10_000
    assert details["line"] == details["accepted"] + 1
    expected = {f"e{number}" for number in range(details["accepted"])}
    assert await ids_in_log(tmp_path) == expected


async def test_an_array_that_is_cut_is_taken_up_to_there(
    log: SqliteEventLog, tmp_path: Path
) -> None:
    """Its end is missing: what was complete is in the log."""
    body = array(event(number) for number in range(5_000))[:-10]
    async with serving(log, Settings()) as session:
        status, answer = await upload(session, body, "application/json")
    assert (status, answer["details"]["accepted"]) == (400, 4_999)
    assert "element 4999 (from 0) is not complete" in answer["message"]
    assert len(await ids_in_log(tmp_path)) == 4_999


async def test_a_sender_that_leaves_gives_its_room_back(
    log: SqliteEventLog, tmp_path: Path
) -> None:
    """What was appended stays; another upload, which needs all the room, is taken."""
    body = lines(event(number) for number in range(20_000))

    async def leaves() -> AsyncIterator[bytes]:
        yield body[: len(body) // 2]
        raise ZeroDivisionError

    room = 2 << 20
    async with serving(log, Settings(max_bytes_in_flight=room)) as session:
        with suppress(ClientConnectionError, ZeroDivisionError):
            await upload(session, leaves())

        async def is_taken() -> bool:
            whole = [event(number, event_id=f"w{number}") for number in range(10)]
            padded = FORMS["object"][1](whole)
            padded += b" " * (room - len(padded))
            return (await upload(session, padded, "application/json"))[0] == 202

        await eventually(is_taken)
    stayed = {one for one in await ids_in_log(tmp_path) if one[0] == "e"}
    assert len(stayed) >= BATCH
    assert stayed == {f"e{number}" for number in range(len(stayed))}
