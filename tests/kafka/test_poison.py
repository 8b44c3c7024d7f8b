"""A topic with records that can't be stored, and their way home once the cause is mended."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from aiokafka import AIOKafkaProducer

from deploy.topics.plan import Wanted
from deploy.topics.topics import apply
from schemas.dead_letters import DeadLetter, decode_letter
from schemas.event import identity_key
from schemas.record import FORMAT, FORMAT_HEADER
from tests.support.clickhouse import ClickHouse
from tests.support.kafka import Kafka
from tests.support.services import Services, run, services
from tests.support.stack import TALLY, wait_until
from tests.support.topics import configure, read_topic
from tests.support.traffic import (
    Client,
    Event,
    Model,
    Sender,
    Traffic,
    ask,
    assert_equal,
    sized,
    table,
)

EVIL = "evil"
EACH = sized(30, 330)  # bad records of each kind: with the evil ones 1% of all
GARBAGE = "garbage"
WRONG_SHAPE = "wrong shape"
NOT_A_TIME = "not a time"
REASONS = {
    GARBAGE: r"(can't be read|is no event of ours): ",
    WRONG_SHAPE: r"the value is no event of ours: .*hello",
    NOT_A_TIME: r"^ClickHouse: .*CANNOT_PARSE_DATETIME",
    EVIL: r"Constraint `calm` .*is violated",
}


@pytest.fixture
def running(kafka: Kafka, engine: ClickHouse, tmp_path: Path) -> Iterator[Services]:
    with services(tmp_path / "services", kafka.bootstrap_servers, engine.url) as made:
        made.start(consumers=0)
        ask(
            made,
            "ALTER TABLE events ADD CONSTRAINT calm"
            f" CHECK tenant != '{made.tenant}' OR event_name != '{EVIL}'",
        )
        try:
            yield made
        finally:
            ask(made, "ALTER TABLE events DROP CONSTRAINT IF EXISTS calm")


def evil(number: int, **changed: str) -> Event:
    """An event that the gateway takes and the table, for now, refuses."""
    return {
        **Traffic(seed=number, prefix=f"evil{number}").bulk(1)[0],
        "event_name": EVIL,
        **changed,
    }


def bad_records(tenant: str, random: Random) -> list[tuple[str, bytes, bytes, dict[str, bytes]]]:
    """Kind, key, value and headers of records that our gateway would never write."""
    made = []
    ours = {FORMAT_HEADER: FORMAT}
    for number in range(EACH):
        key = identity_key(tenant, f"bad {number}")
        headers = ours if number % 2 else {}
        made.append((GARBAGE, key, b"\xff" + random.randbytes(40).replace(b"e", b""), headers))
        made.append((WRONG_SHAPE, key, b'{"hello": %d}' % number, {}))
        value = {**Traffic(seed=number).bulk(1)[0], "tenant": tenant, "event_id": f"bad {number}"}
        value["timestamp"] = "2026-03-01T10:never"
        made.append((NOT_A_TIME, key, json.dumps(value).encode(), ours))
    random.shuffle(made)
    return made


async def append(
    running: Services, records: list[tuple[str, bytes, bytes, dict[str, bytes]]]
) -> None:
    """Append records past the gateway."""
    async with AIOKafkaProducer(**running.kafka.client_options(), acks="all") as producer:
        for _, key, value, headers in records:
            await producer.send_and_wait(
                running.kafka.events_topic, value, key=key, headers=list(headers.items())
            )


def letters(running: Services) -> list[DeadLetter]:
    """Every dead letter there is now."""
    topic = running.kafka.dead_letters_topic
    last = {record.key: record for record in run(lambda: read_topic(running.kafka, topic))}
    return [
        decode_letter(one.key, one.value, one.headers)
        for one in last.values()
        if one.value is not None
    ]


def send(running: Services, events: list[Event]) -> None:
    client = Client(running)
    assert client.send(events).status == 202
    client.close()


def kind_of(letter: DeadLetter) -> str:
    """Which kind a letter is, by its value; its reason must say so."""
    marks = {GARBAGE: b"\xff", WRONG_SHAPE: b"hello", NOT_A_TIME: b":never", EVIL: EVIL.encode()}
    (kind,) = [kind for kind, mark in marks.items() if mark in letter.record.value]
    assert re.search(REASONS[kind], letter.reason), (kind, letter.reason)
    return kind


def replay(running: Services) -> str:
    """Bring every letter back, with the command; give what it printed."""
    ended = subprocess.run(
        [TALLY, "dead-letters", "replay", "--all", "--yes"],
        env=running.env,
        cwd=running.directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_good_events_are_stored_and_bad_ones_come_home_later(running: Services) -> None:
    """Among many good records, one in a hundred bad in four ways: the good ones are stored, every
    bad one is a letter with its reason. After the constraint is dropped a replay brings home what
    the table takes now, and none supersedes what was sent under its ID meanwhile; the rest are
    letters again, tried twice.
    """
    evils = [evil(number) for number in range(EACH)]
    # A third of the refused sends are of IDs that have a good send before them.
    before = [{**one, "event_name": "before"} for one in evils[: EACH // 3]]
    sender = Sender(
        running, Traffic(seed=8), count=sized(10_000, 100_000), events_a_second=50_000, bulk=1000
    )
    sender.start()
    send(running, before)
    bad = bad_records(running.tenant, Random(8))
    for start in range(0, len(bad), len(bad) // 3):
        some = bad[start : start + len(bad) // 3]
        run(lambda some=some: append(running, some))
        send(running, evils[start // 3 : start // 3 + len(some) // 3])
    model: Model = sender.finish()
    model.update((event["event_id"], event) for event in before)
    for _ in range(2):
        running.add_consumer()
    running.wait_until_stored()
    assert_equal(table(running), model)
    put_aside = letters(running)
    assert Counter(map(kind_of, put_aside)) == dict.fromkeys(REASONS, EACH)
    assert {one.attempts for one in put_aside} == {1}
    assert {one.record.value for one in put_aside} >= {value for _, _, value, _ in bad}

    # Every other one is sent again, under another hour, before anybody mends anything.
    newer = [{**one, "event_name": "newer", "timestamp": "2026-03-09T01:02:03.000004Z"}
             for one in evils[::2]]  # fmt: skip
    send(running, newer)
    running.wait_until_stored()
    ask(running, "ALTER TABLE events DROP CONSTRAINT calm")
    replay(running)
    running.wait_until_stored()
    for event in [*evils, *newer]:
        model[event["event_id"]] = event
    assert_equal(table(running), model)
    left = letters(running)
    assert Counter(map(kind_of, left)) == dict.fromkeys((GARBAGE, WRONG_SHAPE, NOT_A_TIME), EACH)
    assert {one.attempts for one in left} == {2}


def test_records_with_the_producers_time_wait_among_the_letters(running: Services) -> None:
    """If somebody changes the topic while it is in use, events are not stored under a producer's
    clock: they are letters that say what to mend, and come home after that.
    """
    consumer = running.add_consumer()
    good, doomed, later = (Traffic(seed=n, prefix=f"{n}", resent=0).bulk(20) for n in range(3))
    send(running, good)
    running.wait_until_stored()
    run(lambda: configure(running.kafka, message_timestamp_type="CreateTime"))
    send(running, doomed)
    wait_until(lambda: len(letters(running)) == len(doomed), what="letters")
    assert all("message.timestamp.type=LogAppendTime" in one.reason for one in letters(running))
    assert consumer.runs()
    run(lambda: apply(running.kafka, Wanted()))
    replay(running)
    send(running, later)
    running.wait_until_stored()
    assert letters(running) == []
    assert_equal(table(running), {one["event_id"]: one for one in [*good, *doomed, *later]})
