"""`tally dead-letters` over Kafka."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from consumer.kafka.dead_letter import KafkaDeadLetters
from deploy.client import CLIENT_FILE
from deploy.dead_letters.dead_letter import KafkaLetterBox
from deploy.dead_letters.letter_box import LetterBoxError
from deploy.dead_letters.selection import Selection
from schemas.dead_letters import DeadLetter
from schemas.kafka import KafkaSettings
from schemas.record import ATTEMPTS_HEADER, VERSION_HEADER
from tests.deploy.dead_letters.letters import Command, letter
from tests.support.clickhouse import free_port
from tests.support.kafka import Kafka
from tests.support.topics import new_topics, read_topic


@pytest.fixture
async def settings(kafka: Kafka) -> KafkaSettings:
    """Topics of one's own."""
    return await new_topics(kafka.bootstrap_servers, partitions=3)


@pytest.fixture
def tally(settings: KafkaSettings) -> Command:
    return Command(
        {
            "TALLY_KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
            "TALLY_KAFKA_TOPIC_PREFIX": settings.topic_prefix,
        }
    )


async def put(settings: KafkaSettings, letters: Sequence[DeadLetter]) -> None:
    """Append letters as the consumer does."""
    topic = KafkaDeadLetters(settings)
    await topic.append(letters)
    await topic.close()


def three(settings: KafkaSettings) -> list[DeadLetter]:
    topic = settings.events_topic
    return [
        letter(1, topic=topic, reason="Cannot parse input", appended="2026-03-01T12:00:00Z"),
        letter(2, topic=topic, tenant="other", appended="2026-03-02T12:00:00Z"),
        letter(3, topic=topic, value=b"\xff\x00{", appended="2026-03-03T12:00:00Z"),
    ]


async def test_list_and_show_what_there_is(settings: KafkaSettings, tally: Command) -> None:
    """Letters come in the order of their first append, whole, and can be filtered."""
    letters = three(settings)
    assert tally.listed() == []
    await put(settings, letters)
    assert [one["origin"] for one in tally.listed()] == [one.origin for one in letters]
    assert tally.origins("--tenant", "acme", "--reason", "parse") == [letters[0].origin]
    assert tally.origins("--since", "2026-03-02T12:00:00Z") == [
        letters[1].origin,
        letters[2].origin,
    ]
    shown = json.loads(tally("show", letters[0].origin, "--json").stdout)
    assert (shown["version"], shown["value"]) == (letters[0].version, '{"n": 1}')
    assert await KafkaLetterBox(settings).find(Selection()) == letters


async def test_a_stack_that_runs_on_kafka_is_found(settings: KafkaSettings, tmp_path: Path) -> None:
    """Its data directory says where, as for every other command."""
    await put(settings, three(settings))
    (tmp_path / CLIENT_FILE).write_text(
        f"TALLY_KAFKA_BOOTSTRAP_SERVERS={settings.bootstrap_servers}\n"
        f"TALLY_KAFKA_TOPIC_PREFIX={settings.topic_prefix}\n"
    )
    assert len(Command({"TALLY_DATA": str(tmp_path)}).listed()) == 3


async def test_the_last_record_of_a_letter_counts(settings: KafkaSettings, tally: Command) -> None:
    """Written twice it is one letter, in its last words; and one that was dropped can come back."""
    first, *_ = three(settings)
    await put(settings, [first])
    await put(settings, [first._replace(reason="in other words")])
    assert [one["reason"] for one in tally.listed()] == ["in other words"]
    assert tally.listed("--reason", "parse") == []
    assert tally("drop", first.origin, "--yes").returncode == 0
    assert tally.listed() == []
    await put(settings, [first])
    assert tally.origins() == [first.origin]


async def test_replay_appends_and_drops(settings: KafkaSettings, tally: Command) -> None:
    """The events come back with version and attempts, byte for byte; the others stay letters."""
    letters = three(settings)
    await put(settings, letters)
    done = tally("replay", letters[2].origin, letters[0].origin, "--yes")
    assert done.returncode == 0, done.stderr
    assert "replayed 2 of 2" in done.stderr
    assert tally.origins() == [letters[1].origin]
    found = {record.key: record for record in await read_topic(settings)}
    assert set(found) == {letters[0].record.key, letters[2].record.key}
    back = found[letters[2].record.key]
    assert back.value == b"\xff\x00{"
    headers = dict(back.headers)
    assert headers[VERSION_HEADER] == b"%d" % letters[2].version
    assert headers[ATTEMPTS_HEADER] == b"1"
    assert headers["tally-format"] == b"1"


async def test_many_are_moved_in_portions(settings: KafkaSettings, tally: Command) -> None:
    """More than one append's worth; each is appended once and none is left."""
    await put(settings, [letter(n, topic=settings.events_topic) for n in range(1200)])
    done = tally("replay", "--all", "--yes")
    assert done.returncode == 0, done.stderr
    assert tally.listed() == []
    keys = [record.key for record in await read_topic(settings)]
    assert len(keys) == len(set(keys)) == 1200


async def test_a_letter_that_the_log_can_never_take_stays(
    settings: KafkaSettings, tally: Command
) -> None:
    """It is named, with exit 1; the others of its portion go through."""
    huge = letter(9, topic=settings.events_topic, value=b"x" * 1_500_000)
    await put(settings, [*three(settings), huge])
    done = tally("replay", "--all", "--yes")
    assert done.returncode == 1
    assert huge.origin in done.stderr
    assert "replayed 3 of 4" in done.stderr
    assert tally.origins() == [huge.origin]
    assert len(await read_topic(settings)) == 3


async def test_what_is_no_letter_is_left_out(settings: KafkaSettings, tally: Command) -> None:
    """Somebody else's records in the topic hide nothing."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers)
    await producer.start()
    for key in (b"odd", b"a/1/1"):
        await producer.send_and_wait(settings.dead_letters_topic, b"text", key=key)
    await producer.stop()
    letters = three(settings)
    await put(settings, letters)
    assert len(tally.listed()) == 3


async def test_a_topic_that_is_missing_is_named(kafka: Kafka) -> None:
    """With the command that makes it."""
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, topic_prefix="never-made")
    box = KafkaLetterBox(settings)
    with pytest.raises(LetterBoxError, match=r"never-made\.dead-letters.*tally topics apply"):
        await box.find(Selection())
    with pytest.raises(LetterBoxError, match=r"never-made\.events"):
        await box.replay([letter(1)])


async def test_brokers_that_are_not_there_are_named() -> None:
    """One line, with the setting at fault."""
    address = f"127.0.0.1:{free_port()}"
    tally = Command({"TALLY_KAFKA_BOOTSTRAP_SERVERS": address})
    done = tally("list")
    assert done.returncode == 1
    assert f"TALLY_KAFKA_BOOTSTRAP_SERVERS={address}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    wrong = Command({"TALLY_KAFKA_BOOTSTRAP_SERVERS": "nonsense"})("list")
    assert wrong.returncode == 1
    assert "host:port" in wrong.stderr
