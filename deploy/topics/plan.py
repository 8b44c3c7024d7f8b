"""What to do to a topic so that it is what it must be and what was asked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from schemas.topic_answers import Topic
from schemas.topics import EVENTS, Need, TopicSpec, needs_of

_HOUR_MS: Final = 3_600_000
_FOR_EVER: Final = -1
_MOST_REPLICAS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The flags of `tally topics apply`; None leaves a topic as it is, and a new one to defaults.

    ``partitions`` and ``retention_hours`` (-1: for ever) are of the events alone.
    """

    partitions: int | None = None
    replication_factor: int | None = None
    retention_hours: int | None = None
    min_insync_replicas: int | None = None


class Change(NamedTuple):
    """One thing that changes; ``old`` is None where the topic is new."""

    topic: str
    setting: str
    old: str | None
    new: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to do to one topic, in this order: make it, grow it to ``partitions``, write ``config``.

    ``config`` holds the settings to write over those that the topic has of its own.
    """

    topic: str
    make: bool = False
    partitions: int = 0
    replicas: int = 0
    config: Mapping[str, str] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def plan(
    name: str,
    spec: TopicSpec,
    topic: Topic | None,
    wanted: Wanted,
    *,
    brokers: int,
    events: Topic | None = None,
) -> Plan:
    """Plan for one topic, which is None if it does not exist. ``events`` is as for `needs_of`.

    Raises ValueError, naming the flag, for what can't be done.
    """
    if topic is None:
        return _plan_new(name, spec, wanted, brokers=brokers, events=events)
    factor = wanted.replication_factor
    if factor is not None and factor != topic.replicas:
        raise ValueError(
            f"--replication-factor {factor}: {name} has {topic.replicas} replica(s), and replicas "
            "of a topic that exists are moved with kafka-reassign-partitions"
        )
    asked = _asked(spec, wanted)
    config = {}
    for need in needs_of(spec, replicas=topic.replicas, events=events):
        value = topic.config.get(need.setting)
        if need.setting in asked:
            new = _checked(name, need, *asked[need.setting])
        elif value is not None and need.holds(value):
            continue
        else:
            new = need.value
        if new != value:
            config[need.setting] = new
    grown, warnings = _growth(name, spec, topic, wanted)
    changes = [
        Change(name, setting, topic.config.get(setting) or "not set", new)
        for setting, new in config.items()
    ]
    if grown:
        changes.insert(0, Change(name, "partitions", str(topic.partitions), str(grown)))
    if spec is EVENTS and "message.timestamp.type" in config:
        warnings.append(
            f"{name}: records that are in it already keep their producers' times; "
            "the consumer stores none of them, and puts them into the dead letters"
        )
    return Plan(topic=name, partitions=grown, config=config, changes=changes, warnings=warnings)


def _plan_new(
    name: str, spec: TopicSpec, wanted: Wanted, *, brokers: int, events: Topic | None
) -> Plan:
    replicas = wanted.replication_factor or min(_MOST_REPLICAS, brokers)
    if replicas > brokers:
        raise ValueError(
            f"--replication-factor {replicas}: {name} needs {replicas} brokers for it, and the "
            f"cluster of TALLY_KAFKA_BOOTSTRAP_SERVERS has {brokers}"
        )
    partitions = (spec is EVENTS and wanted.partitions) or spec.partitions
    asked = _asked(spec, wanted)
    config = {
        need.setting: _checked(name, need, *asked[need.setting])
        if need.setting in asked
        else need.value
        for need in needs_of(spec, replicas=replicas, events=events)
    }
    shown = {"partitions": str(partitions), "replicas": str(replicas), **config}
    return Plan(
        topic=name,
        make=True,
        partitions=partitions,
        replicas=replicas,
        config=config,
        changes=[Change(name, setting, None, value) for setting, value in shown.items()],
    )


def _asked(spec: TopicSpec, wanted: Wanted) -> dict[str, tuple[str, str]]:
    """Give the settings that flags name: the value, and the flag as it was given."""
    asked = {}
    if wanted.min_insync_replicas is not None:
        value = str(wanted.min_insync_replicas)
        asked["min.insync.replicas"] = (value, f"--min-insync-replicas {value}")
    hours = wanted.retention_hours
    if spec is EVENTS and hours is not None:
        value = str(hours if hours == _FOR_EVER else hours * _HOUR_MS)
        asked["retention.ms"] = (value, f"--retention-hours {hours}")
    return asked


def _checked(name: str, need: Need, value: str, flag: str) -> str:
    if not need.holds(value):
        raise ValueError(f"{flag}: {name} needs {need.setting} to be {need.needed} ({need.why})")
    return value


def _growth(name: str, spec: TopicSpec, topic: Topic, wanted: Wanted) -> tuple[int, list[str]]:
    """Give how many partitions to grow to, 0 for none, and what growing means."""
    asked = wanted.partitions
    if spec is not EVENTS or asked is None or asked == topic.partitions:
        return 0, []
    if asked < topic.partitions:
        raise ValueError(
            f"--partitions {asked}: {name} has {topic.partitions}, and Kafka takes none away; "
            f"leave the flag out, or give {topic.partitions} or more"
        )
    warning = (
        f"{name}: grows from {topic.partitions} to {asked} partitions, so an ID that is sent "
        "again may come to another partition than before; the consumers find it there, at the "
        "price of a second look-up for each batch. Partitions can never be taken away"
    )
    return asked, [warning]
