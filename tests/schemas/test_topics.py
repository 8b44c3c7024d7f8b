"""What is wrong with a topic, told in words, and what Kafka's answers say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas.event import (
    MAX_EVENT_ID_CHARS,
    MAX_NAME_CHARS,
    MAX_PROPERTIES_BYTES,
    Event,
    identity_key,
)
from schemas.kafka import KafkaSettings
from schemas.topic_answers import Topic, read_topics
from schemas.topics import (
    DEAD_LETTERS,
    EVENTS,
    KEYS,
    MIN_BATCH_BYTES,
    TopicSpec,
    check,
    needs_of,
    problems,
    topics_of,
)

pytestmark = pytest.mark.unit

SETTINGS = KafkaSettings(bootstrap_servers="k:9092", topic_prefix="acme")


def topic(
    spec: TopicSpec, *, partitions: int | None = None, replicas: int = 3, **changed: str
) -> Topic:
    """A topic as `tally topics apply` makes it, but for the settings in ``changed``."""
    config = {need.setting: need.value for need in needs_of(spec, replicas=replicas)}
    config |= {name.replace("_", "."): value for name, value in changed.items()}
    return Topic("t", partitions or spec.partitions, replicas, 0, config, {})


@pytest.mark.parametrize("spec", [EVENTS, DEAD_LETTERS, KEYS], ids=lambda spec: spec.kind)
@pytest.mark.parametrize("replicas", [3, 4, 7])
def test_a_topic_that_is_made_has_no_problem(spec: TopicSpec, replicas: int) -> None:
    """What a topic is made with fulfils its own rules, and earns no advice."""
    assert problems(spec, topic(spec, replicas=replicas)) == []


@pytest.mark.parametrize(
    ("spec", "setting", "bad"),
    [
        (EVENTS, "message.timestamp.type", "CreateTime"),
        (EVENTS, "cleanup.policy", "compact"),
        (EVENTS, "cleanup.policy", "compact,delete"),
        (EVENTS, "unclean.leader.election.enable", "true"),
        (EVENTS, "retention.ms", "3599999"),
        (EVENTS, "max.message.bytes", str(MIN_BATCH_BYTES - 1)),
        (EVENTS, "min.insync.replicas", "1"),
        (EVENTS, "min.insync.replicas", "4"),
        (DEAD_LETTERS, "cleanup.policy", "delete"),
        (DEAD_LETTERS, "cleanup.policy", "compact,delete"),
        (DEAD_LETTERS, "unclean.leader.election.enable", "true"),
        (DEAD_LETTERS, "max.message.bytes", str(2 * MIN_BATCH_BYTES - 1)),
        (DEAD_LETTERS, "min.insync.replicas", "1"),
        (KEYS, "cleanup.policy", "delete"),
        (KEYS, "unclean.leader.election.enable", "true"),
        (KEYS, "min.insync.replicas", "1"),
    ],
)
def test_a_setting_that_breaks_the_design(spec: TopicSpec, setting: str, bad: str) -> None:
    """The text names topic, setting, what was found, what is needed, and what mends it."""
    wrong = topic(spec)
    need = next(need for need in needs_of(spec, replicas=3) if need.setting == setting)
    (problem,) = problems(spec, wrong._replace(config={**wrong.config, setting: bad}))
    assert problem.breaks
    for part in ("t: ", f"{setting} is {bad}", f"needed is {need.needed}", "tally topics apply"):
        assert part in str(problem)


@pytest.mark.parametrize(
    ("spec", "setting", "good"),
    [
        (EVENTS, "retention.ms", "-1"),
        (EVENTS, "retention.ms", "3600000"),
        (EVENTS, "max.message.bytes", str(MIN_BATCH_BYTES)),
        (DEAD_LETTERS, "max.message.bytes", str(2 * MIN_BATCH_BYTES)),
        (DEAD_LETTERS, "retention.ms", "1"),
        (KEYS, "message.timestamp.type", "CreateTime"),
        (KEYS, "max.message.bytes", "65536"),
    ],
)
def test_a_setting_that_is_good_enough(spec: TopicSpec, setting: str, good: str) -> None:
    """The rules ask for no more than the design does."""
    fine = topic(spec)
    assert problems(spec, fine._replace(config={**fine.config, setting: good})) == []


@pytest.mark.parametrize(
    ("replicas", "changed", "setting"),
    [
        (1, {}, "replicas"),
        (2, {}, "replicas"),
        (2, {"min_insync_replicas": "2"}, "replicas"),
        (3, {"min_insync_replicas": "3"}, "min.insync.replicas"),
        (3, {"retention_bytes": "1000"}, "retention.bytes"),
    ],
)
def test_advice_keeps_no_service_from_starting(
    replicas: int, changed: dict[str, str], setting: str
) -> None:
    """Too few replicas, or a limit that loses events in a rush, are told and not forbidden."""
    (advice,) = problems(EVENTS, topic(EVENTS, replicas=replicas, **changed))
    assert (advice.setting, advice.breaks) == (setting, False)
    assert "better is" in str(advice)


def test_more_in_sync_replicas_than_there_are_break_it() -> None:
    """A topic that nobody could append to is no mere advice."""
    lone = topic(EVENTS, replicas=1, min_insync_replicas="2")
    assert [p.setting for p in problems(EVENTS, lone) if p.breaks] == ["min.insync.replicas"]


def test_the_time_of_letters_is_advice() -> None:
    """Letters with their producer's time are odd, but lose nothing."""
    (advice,) = problems(DEAD_LETTERS, topic(DEAD_LETTERS, message_timestamp_type="CreateTime"))
    assert (advice.setting, advice.breaks) == ("message.timestamp.type", False)


def test_keys_have_one_partition() -> None:
    """Keys in two partitions have no order, and no command takes a partition away."""
    (problem,) = problems(KEYS, topic(KEYS, partitions=2))
    assert problem.breaks
    assert "delete the topic" in problem.mend
    assert problems(EVENTS, topic(EVENTS, partitions=100)) == []


def test_a_letter_holds_the_largest_record_of_the_events() -> None:
    """Who lets larger records into the events needs larger letters."""
    names = topics_of(SETTINGS)
    large = topic(EVENTS, max_message_bytes="3000000")
    found = dict(zip(names, [large, topic(DEAD_LETTERS), topic(KEYS)], strict=True))
    (problem,) = check(names, found)
    assert (problem.setting, problem.needed) == (
        "max.message.bytes",
        "at least 6000000, twice that of the events",
    )


def test_a_topic_that_is_missing_breaks_it() -> None:
    """Each topic asked for is named; one not asked for is not."""
    (problem,) = check({"acme.events": EVENTS}, {})
    assert problem.breaks
    assert "acme.events: the topic of events is missing" in str(problem)
    assert [p.topic for p in check(topics_of(SETTINGS), {})] == [
        "acme.events",
        "acme.dead-letters",
        "acme.keys",
    ]


def test_the_largest_event_fits() -> None:
    """The worst an event may be, escaped to six bytes a character, is far below a batch."""
    text = "\x01" * MAX_NAME_CHARS
    event_id = "\x01" * MAX_EVENT_ID_CHARS
    properties = msgspec.Raw(b'{"a":"' + b"x" * (MAX_PROPERTIES_BYTES - 8) + b'"}')
    event = Event(text, event_id, text, text, text, text, "2024-01-01T00:00:00Z", properties)
    size = len(msgspec.json.encode(event)) + len(identity_key("t" * 1000, "\U0001f600" * 512))
    assert size < MIN_BATCH_BYTES / 8


def metadata(name: str, *leaders: int, replicas: int = 1) -> dict[str, Any]:
    partitions = [
        {"partition": at, "leader": leader, "replicas": [1] * (replicas + at)}
        for at, leader in enumerate(leaders)
    ]
    return {"topic": name, "error_code": 0, "partitions": partitions}


def resource(name: str, *entries: dict[str, Any], code: int = 0, text: str = "") -> dict[str, Any]:
    return {
        "resource_name": name,
        "error_code": code,
        "error_message": text,
        "config_entries": list(entries),
    }


def entry(name: str, value: str | None, **where: Any) -> dict[str, Any]:
    return {"config_names": name, "config_value": value, **where}


def test_a_topic_is_read_out_of_the_answers() -> None:
    """Only what is set on the topic itself is its own; replicas are the fewest of a partition."""
    entries = (
        entry("retention.ms", "1", config_source=1),
        entry("secret", None, config_source=1),
        entry("segment.bytes", "2", config_source=5),
        entry("min.insync.replicas", "3", config_source=4),
    )
    found = read_topics([metadata("a", 1, -1, replicas=2)], [resource("a", *entries)])
    assert found == {
        "a": Topic(
            "a",
            partitions=2,
            replicas=2,
            leaderless=1,
            config={
                "retention.ms": "1",
                "secret": None,
                "segment.bytes": "2",
                "min.insync.replicas": "3",
            },
            own={"retention.ms": "1", "secret": None},
        )
    }


def test_an_old_broker_says_what_is_default() -> None:
    """The oldest form of the answer has is_default in place of a source."""
    entries = (entry("a", "1", is_default=False), entry("b", "2", is_default=True))
    found = read_topics([metadata("t", 1)], [resource("t", *entries)])
    assert found["t"].own == {"a": "1"}


def test_topics_that_are_not_there() -> None:
    """A topic that one of the two answers does not know is missing, whatever the reason."""
    answers = [resource("gone", code=3), resource("hidden", code=29, text="Not authorized.")]
    assert read_topics([metadata("gone", 1)], answers) == {}
    assert read_topics([{"topic": "hidden", "error_code": 3, "partitions": []}], answers) == {}


def test_settings_that_may_not_be_read() -> None:
    """The error names the topic and the permission."""
    forbidden = resource("t", code=29, text="Topic authorization failed.")
    with pytest.raises(ValueError, match=r"topic t .*authorization failed.*DescribeConfigs"):
        read_topics([metadata("t", 1)], [forbidden])
