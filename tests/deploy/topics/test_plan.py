"""What `tally topics apply` decides, without a Kafka."""

from __future__ import annotations

import pytest

from deploy.topics.plan import Change, Plan, Wanted, plan
from schemas.topic_answers import Topic
from schemas.topics import DEAD_LETTERS, EVENTS, KEYS, TopicSpec, needs_of

pytestmark = pytest.mark.unit

HOUR_MS = 3_600_000


def existing(spec: TopicSpec, *, partitions: int = 4, replicas: int = 3, **changed: str) -> Topic:
    """A topic that is as it must be, but for the settings in ``changed``."""
    config = {need.setting: need.value for need in needs_of(spec, replicas=replicas)}
    config |= {name.replace("_", "."): value for name, value in changed.items()}
    return Topic("t", partitions, replicas, 0, config, config)


def planned(
    spec: TopicSpec,
    topic: Topic | None,
    *,
    brokers: int = 3,
    events: Topic | None = None,
    **flags: int,
) -> Plan:
    return plan("t", spec, topic, Wanted(**flags), brokers=brokers, events=events)


@pytest.mark.parametrize(
    ("brokers", "replicas", "min_insync"), [(1, 1, "1"), (2, 2, "1"), (3, 3, "2"), (9, 3, "2")]
)
def test_a_new_topic_fits_the_cluster(brokers: int, replicas: int, min_insync: str) -> None:
    """Without flags a topic gets up to three replicas, and of three two must hold a record."""
    made = planned(EVENTS, None, brokers=brokers)
    assert (made.make, made.partitions, made.replicas) == (True, 12, replicas)
    assert made.config["min.insync.replicas"] == min_insync
    assert made.config["retention.ms"] == str(7 * 24 * HOUR_MS)
    assert made.config["message.timestamp.type"] == "LogAppendTime"


def test_partitions_and_retention_are_of_the_events_alone() -> None:
    """Keys stay in one partition, and compacted topics have no retention."""
    flags = {"partitions": 50, "retention_hours": 5}
    events = planned(EVENTS, None, **flags)
    assert (events.partitions, events.config["retention.ms"]) == (50, str(5 * HOUR_MS))
    keys = planned(KEYS, None, **flags)
    assert keys.partitions == 1
    assert "retention.ms" not in keys.config
    letters = planned(DEAD_LETTERS, None, **flags)
    assert letters.partitions == 3
    assert planned(KEYS, existing(KEYS, partitions=1), **flags).changes == []


def test_a_topic_that_is_right_is_left_alone() -> None:
    """What fulfils the rules stays, even where a new topic would get something else."""
    topic = existing(EVENTS, retention_ms="7200000", max_message_bytes="9000000")
    assert planned(EVENTS, topic) == Plan(topic="t")


def test_flags_that_are_so_already_change_nothing() -> None:
    """Giving the same flags again is nothing to do."""
    topic = existing(EVENTS)
    flags = {
        "partitions": 4,
        "replication_factor": 3,
        "retention_hours": 168,
        "min_insync_replicas": 2,
    }
    assert planned(EVENTS, topic, **flags) == Plan(topic="t")


def test_only_what_is_wrong_is_written() -> None:
    """Each change tells old and new, and records that keep a producer's time are warned of."""
    topic = existing(EVENTS, message_timestamp_type="CreateTime", min_insync_replicas="1")
    mended = planned(EVENTS, topic)
    assert mended.config == {"message.timestamp.type": "LogAppendTime", "min.insync.replicas": "2"}
    assert mended.changes == [
        Change("t", "message.timestamp.type", "CreateTime", "LogAppendTime"),
        Change("t", "min.insync.replicas", "1", "2"),
    ]
    (warning,) = mended.warnings
    assert "producers' times" in warning


def test_partitions_grow_with_a_warning() -> None:
    """Growing says what it means for IDs that are sent again."""
    grown = planned(EVENTS, existing(EVENTS, partitions=4), partitions=8)
    assert (grown.partitions, grown.changes) == (8, [Change("t", "partitions", "4", "8")])
    assert "another partition" in grown.warnings[0]


def test_letters_follow_the_events() -> None:
    """Letters are mended to hold what the events let in."""
    large = existing(EVENTS, max_message_bytes="9000000")
    mended = planned(DEAD_LETTERS, existing(DEAD_LETTERS), events=large)
    assert mended.config == {"max.message.bytes": "18000000"}


@pytest.mark.parametrize(
    ("topic", "flags", "text"),
    [
        (existing(EVENTS), {"partitions": 3}, r"--partitions 3: t has 4"),
        (existing(EVENTS), {"replication_factor": 1}, "--replication-factor 1: t has 3"),
        (existing(EVENTS), {"min_insync_replicas": 1}, "--min-insync-replicas 1: .* 2 to 3"),
        (existing(EVENTS), {"min_insync_replicas": 4}, "--min-insync-replicas 4: .* 2 to 3"),
        (existing(EVENTS), {"retention_hours": 0}, "--retention-hours 0: .*at least 3600000"),
        (None, {"retention_hours": 0}, "--retention-hours 0: "),
        (None, {"replication_factor": 4}, "--replication-factor 4: t needs 4 brokers"),
        (None, {"replication_factor": 3, "min_insync_replicas": 1}, "--min-insync-replicas 1"),
    ],
)
def test_what_cannot_be_done_names_its_flag(
    topic: Topic | None, flags: dict[str, int], text: str
) -> None:
    """Nothing is planned where a flag asks for what Kafka or the design can't have."""
    with pytest.raises(ValueError, match=text):
        planned(EVENTS, topic, **flags)


def test_retention_for_ever() -> None:
    """-1 hours is Kafka's own -1, not minus an hour."""
    assert planned(EVENTS, existing(EVENTS), retention_hours=-1).config == {"retention.ms": "-1"}
