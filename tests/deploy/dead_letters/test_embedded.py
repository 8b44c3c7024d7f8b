"""`tally dead-letters` over the embedded log."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import pytest

from deploy.embedded.log.dead_letters import SqliteDeadLetters
from deploy.embedded.log.layout import RETURNED_PARTITION
from deploy.embedded.log.source import SqliteSource
from schemas.record import VERSION_HEADER, LogRecord
from tests.deploy.dead_letters.letters import Command, letter
from tests.pipeline.client import new_tenant
from tests.support.stack import TALLY, Stack, wait_until

LETTERS = [
    letter(1, tenant="acme", reason="Cannot parse input", appended="2026-03-01T12:00:00Z"),
    letter(2, tenant="acme", reason="violates [calm]", appended="2026-03-02T12:00:00Z"),
    letter(3, tenant="other", value=b"\xff\x00{", appended="2026-03-03T12:00:00Z"),
]


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A data directory with three letters."""
    letters = SqliteDeadLetters(tmp_path / "log")
    await letters.append(LETTERS)
    letters.close()
    return tmp_path


@pytest.fixture
def tally(data: Path) -> Command:
    return Command({"TALLY_DATA": str(data)})


async def returned(data: Path) -> list[LogRecord]:
    """What the consumer finds to read again."""
    source = SqliteSource(data / "log")
    await source.open()
    await source.next_assignment()
    records = await source.fetch(max_records=100, max_bytes=1 << 20, timeout_s=0.1)
    await source.close()
    return records


def test_list_shows_what_there_is(tally: Command) -> None:
    """As a table for people and as JSON for programs, in the order in which they came."""
    assert [one["origin"] for one in tally.listed()] == [one.origin for one in LETTERS]
    table = tally("list")
    assert table.returncode == 0
    for part in ("tally.events/2/1", "acme", "Cannot parse input", "violates [calm]", "2026-03-03"):
        assert part in table.stdout


def test_list_filters(tally: Command) -> None:
    """By tenant, by a part of the reason, by time, and by all of them at once."""
    assert tally.origins("--tenant", "acme") == ["tally.events/2/1", "tally.events/2/2"]
    assert tally.origins("--reason", "PARSE") == ["tally.events/2/1"]
    assert tally.origins("--since", "2026-03-02T12:00:00Z") == [
        "tally.events/2/2",
        "tally.events/2/3",
    ]
    assert tally.origins("--tenant", "acme", "--until", "2026-03-01T23:00:00Z") == [
        "tally.events/2/1"
    ]
    assert tally.origins("--tenant", "nobody") == []


def test_list_says_that_there_are_more(tally: Command) -> None:
    """Or that there are none: stdout is for letters alone."""
    some = tally("list", "--limit", "2")
    assert "tally.events/2/3" not in some.stdout
    assert "2 of 3" in some.stderr
    none = tally("list", "--tenant", "nobody")
    assert (none.returncode, none.stdout) == (0, "")
    assert "no such dead letters" in none.stderr


def test_show_has_everything(tally: Command) -> None:
    """In words, as JSON, and the value byte for byte."""
    shown = tally("show", "tally.events/2/1")
    assert shown.returncode == 0
    for part in ("acme", "event 1", "Cannot parse input", "tally-format", '{"n": 1}'):
        assert part in shown.stdout
    whole = json.loads(tally("show", "tally.events/2/1", "--json").stdout)
    assert whole["version"] == LETTERS[0].version
    assert whole["value"] == '{"n": 1}'
    raw = subprocess.run(
        [TALLY, "dead-letters", "show", "tally.events/2/3", "--raw"],
        env=tally.env,
        capture_output=True,
        check=True,
    )
    assert raw.stdout == b"\xff\x00{"


async def test_replay_gives_letters_back(tally: Command, data: Path) -> None:
    """The consumer will read them, under their first version; they are letters no more."""
    done = tally("replay", "tally.events/2/3", "tally.events/2/1", "--yes")
    assert done.returncode == 0, done.stderr
    assert "replayed 2 of 2 dead letters" in done.stderr
    assert tally.origins() == ["tally.events/2/2"]
    records = await returned(data)
    assert {one.partition for one in records} == {RETURNED_PARTITION}
    assert [(one.value, one.headers[VERSION_HEADER]) for one in records] == [
        (one.record.value, b"%d" % one.version) for one in (LETTERS[0], LETTERS[2])
    ]


async def test_drop_forgets_letters(tally: Command, data: Path) -> None:
    """Those of a filter, and nobody reads them."""
    done = tally("drop", "--tenant", "acme", "--yes")
    assert (done.returncode, done.stdout) == (0, "")
    assert "dropped 2 of 2 dead letters" in done.stderr
    assert tally.origins() == ["tally.events/2/3"]
    assert tally("drop", "--all", "--yes").returncode == 0
    assert tally.origins() == []
    assert await returned(data) == []


@pytest.mark.parametrize("verb", ["replay", "drop"])
def test_nothing_is_done_unless_it_is_meant(tally: Command, verb: str) -> None:
    """No flags, a wrong time, an origin that is not there, nobody to ask: refused in words."""
    for arguments, status, said in (
        ((), 2, "--all"),
        (("--yes",), 2, "--all"),
        (("--all", "--tenant", "acme", "--yes"), 2, "--all"),
        (("tally.events/2/1", "--tenant", "acme", "--yes"), 2, "not both"),
        (("--since", "yesterday", "--yes"), 2, "--since"),
        (("tally.events/2/1", "tally.events/9/9", "--yes"), 1, "tally.events/9/9"),
        (("tally.events/2/1",), 1, "--yes"),
    ):
        done = tally(verb, *arguments)
        assert (done.returncode, done.stdout) == (status, ""), arguments
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert len(tally.listed()) == 3


def answered(tally: Command, answer: bytes, *arguments: str) -> int:
    """Run it on a terminal of its own, type an answer, and give its exit status."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [TALLY, "dead-letters", *arguments],
            env=tally.env,
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        os.write(ours, answer)
        _, asked = process.communicate(timeout=30)
        assert b"[y/N]" in asked
        return process.returncode
    finally:
        os.close(ours)
        os.close(theirs)


def test_on_a_terminal_it_asks(tally: Command) -> None:
    """Only a yes is one; Ctrl-C is no answer and ends it at once."""
    assert answered(tally, b"\n", "drop", "--all") == 1
    assert answered(tally, b"no\n", "drop", "--all") == 1
    assert answered(tally, b"\x04", "drop", "--all") == 1
    assert len(tally.listed()) == 3
    assert answered(tally, b"y\n", "drop", "--tenant", "other") == 0
    assert len(tally.listed()) == 2


def test_without_a_directory_it_says_what_to_set(tmp_path: Path) -> None:
    """Neither a stack nor Kafka: both settings are named. An empty one has no letters."""
    done = Command({"TALLY_DATA": str(tmp_path / "none")})("list")
    assert done.returncode == 1
    assert "TALLY_DATA" in done.stderr
    assert "TALLY_KAFKA_BOOTSTRAP_SERVERS" in done.stderr
    assert Command({"TALLY_DATA": str(tmp_path)}).listed() == []


@pytest.fixture
def constraint(stack: Stack) -> Iterator[str]:
    """A name of events that the running stack's table refuses, until told otherwise."""
    client = clickhouse_connect.get_client(dsn=stack.client["CLICKHOUSE_URL"])
    client.command("ALTER TABLE events ADD CONSTRAINT no_letters CHECK event_name != 'a letter'")
    yield "a letter"
    client.command("ALTER TABLE events DROP CONSTRAINT IF EXISTS no_letters")
    client.close()


def test_an_event_that_was_refused_is_read_after_its_replay(stack: Stack, constraint: str) -> None:
    """The whole way round: refused, put aside, mended, replayed, and it supersedes nothing newer;
    what was sent with it is stored at once.
    """
    tenant = new_tenant(stack, "letters")
    tally = Command(stack.env)

    def event(event_id: str, name: str) -> dict[str, str]:
        return {"event_id": event_id, "event_name": name, "external_customer_id": "c"}

    tenant.send_bulk([event("a", "first"), event("b", "first"), event("good", "fine")])
    tenant.send_bulk([event("a", constraint), event("b", constraint)])
    tenant.wait_for("good")
    found = wait_until(
        lambda: [one for one in tally.listed("--tenant", "letters") if one["event_id"] in "ab"][1:],
        what="both are dead letters",
    )
    assert "no_letters" in found[0]["reason"]
    assert tenant.lookup("a").json["event_name"] == "first"
    tenant.send_bulk([event("b", "last")])
    wait_until(lambda: tenant.lookup("b").json["event_name"] == "last", what="b was sent again")

    again = tally("replay", "--tenant", "letters", "--yes")
    assert again.returncode == 0, again.stderr
    wait_until(
        lambda: [one["attempts"] for one in tally.listed("--tenant", "letters")] == [2],
        what="a is refused once more, and b was superseded",
    )
    client = clickhouse_connect.get_client(dsn=stack.client["CLICKHOUSE_URL"])
    client.command("ALTER TABLE events DROP CONSTRAINT no_letters")
    client.close()
    assert tally("replay", "--all", "--yes").returncode == 0
    wait_until(lambda: tenant.lookup("a").json["event_name"] == constraint, what="a is stored")
    assert tenant.lookup("b").json["event_name"] == "last"
    assert tally.listed("--tenant", "letters") == []
