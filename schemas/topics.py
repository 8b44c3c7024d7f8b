"""What the topics in Kafka must be, and what is wrong with those that are otherwise.

Gateway and consumer refuse to start on a problem that `breaks`; `tally topics apply` makes and
mends, `tally topics verify` reports. Where each rule comes from stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.kafka import KafkaSettings
from schemas.topic_answers import Topic

_HOUR_MS: Final = 3_600_000
_RETENTION_MS: Final = 7 * 24 * _HOUR_MS
# What the gateway's producer puts into one batch at most; the largest event is a tenth of it.
MIN_BATCH_BYTES: Final = 1024 * 1024
_EVENTS_BATCH_BYTES: Final = MIN_BATCH_BYTES + 12  # Kafka's own default: batch and its overhead
_LETTERS_BATCH_BYTES: Final = 4 * MIN_BATCH_BYTES
_SAFE_REPLICAS: Final = 3

APPLY: Final = "run 'tally topics apply'"
_MOVE: Final = "add replicas with kafka-reassign-partitions"
_MIN_INSYNC: Final = "min.insync.replicas"
_MAX_BYTES: Final = "max.message.bytes"
_RETENTION_BYTES: Final = "retention.bytes"


class Need(NamedTuple):
    """What a setting must be: ``holds`` judges a value as Kafka writes it, ``value`` mends it.

    Without it the design breaks, or, where ``breaks`` is False, it is only worse off.
    """

    setting: str
    holds: Callable[[str], bool]
    value: str
    needed: str
    why: str
    breaks: bool = True


@dataclass(frozen=True, kw_only=True)
class TopicSpec:
    """``partitions`` is what it is made with; ``max_partitions`` is None if any count will do."""

    kind: str
    partitions: int
    max_partitions: int | None = None
    needs: tuple[Need, ...]


class Problem(NamedTuple):
    """What is wrong with a topic, why it matters, and what mends it.

    With ``breaks`` a service must not start; without, it is advice.
    """

    topic: str
    setting: str
    found: str
    needed: str
    why: str
    mend: str
    breaks: bool = True

    def __str__(self) -> str:
        """Say it in one line."""
        needed = "needed" if self.breaks else "better"
        return (
            f"{self.topic}: {self.setting} is {self.found}, {needed} is {self.needed} "
            f"({self.why}): {self.mend}"
        )


def _at_least(least: int) -> Callable[[str], bool]:
    return lambda value: int(value) >= least


def _one_of(*values: str) -> Callable[[str], bool]:
    return lambda value: value in values


def _retains(value: str) -> bool:
    return value == "-1" or int(value) >= _HOUR_MS


_NO_UNCLEAN = Need(
    "unclean.leader.election.enable",
    _one_of("false"),
    "false",
    "false",
    "a replica that lags would become leader, and what was acknowledged would be lost",
)
_DELETE = Need(
    "cleanup.policy",
    _one_of("delete"),
    "delete",
    "delete",
    "compaction drops events that were sent again before a consumer has seen them",
)
_COMPACT = Need(
    "cleanup.policy",
    _one_of("compact"),
    "compact",
    "compact",
    "its records stay until they are replaced or dropped, however old they are",
)
_APPEND_TIME = Need(
    "message.timestamp.type",
    _one_of("LogAppendTime"),
    "LogAppendTime",
    "LogAppendTime",
    "versions are made of the broker's clock; a producer's could bring old events back",
)

EVENTS: Final = TopicSpec(
    kind="events",
    partitions=12,
    needs=(
        _APPEND_TIME,
        _DELETE,
        _NO_UNCLEAN,
        Need(
            "retention.ms",
            _retains,
            str(_RETENTION_MS),
            f"at least {_HOUR_MS}, or -1",
            "events that no consumer has stored yet are deleted after it",
        ),
        Need(
            _MAX_BYTES,
            _at_least(MIN_BATCH_BYTES),
            str(_EVENTS_BATCH_BYTES),
            f"at least {MIN_BATCH_BYTES}",
            "the gateway's batches must fit",
        ),
    ),
)
DEAD_LETTERS: Final = TopicSpec(
    kind="dead letters",
    partitions=3,
    needs=(
        _COMPACT,
        _NO_UNCLEAN,
        _APPEND_TIME._replace(why="the time of a letter is the broker's", breaks=False),
    ),
)
KEYS: Final = TopicSpec(
    kind="keys",
    partitions=1,
    max_partitions=1,
    needs=(
        _COMPACT,
        _NO_UNCLEAN,
        Need(
            "segment.ms",
            lambda value: int(value) <= 24 * _HOUR_MS,
            str(_HOUR_MS),
            f"at most {24 * _HOUR_MS}",
            "a segment is compacted only when it is full or this old, and services read every "
            "last use of a key that is not, before they are ready",
            breaks=False,
        ),
    ),
)


def topics_of(settings: KafkaSettings) -> dict[str, TopicSpec]:
    """Give every topic's name and what it must be."""
    return {
        settings.events_topic: EVENTS,
        settings.dead_letters_topic: DEAD_LETTERS,
        settings.keys_topic: KEYS,
    }


def needs_of(spec: TopicSpec, *, replicas: int, events: Topic | None = None) -> list[Need]:
    """Give all that a topic needs that has so many replicas.

    ``events`` is the topic of events as it is, which decides how large a dead letter may get.
    """
    needs = [*spec.needs, _min_insync_need(replicas)]
    if spec is DEAD_LETTERS:
        needs.append(_letters_size_need(events))
    return needs


def check(specs: Mapping[str, TopicSpec], found: Mapping[str, Topic]) -> list[Problem]:
    """Give what is wrong with the topics that ``specs`` names, some or all of `topics_of`.

    A topic that is not in ``found`` does not exist.
    """
    names = {spec.kind: name for name, spec in specs.items()}
    events = found.get(names.get(EVENTS.kind, ""))
    wrong: list[Problem] = []
    for name, spec in specs.items():
        if name in found:
            wrong += problems(spec, found[name], events=events)
        else:
            wrong.append(
                Problem(
                    name,
                    f"the topic of {spec.kind}",
                    "missing, or hidden from this user",
                    "that it exists",
                    "no service makes it, since Kafka's defaults would be wrong",
                    APPLY,
                )
            )
    return wrong


def problems(spec: TopicSpec, topic: Topic, *, events: Topic | None = None) -> list[Problem]:
    """Give what is wrong with one topic that exists. ``events`` is as for `needs_of`."""
    wrong = []
    if spec.max_partitions is not None and topic.partitions > spec.max_partitions:
        wrong.append(
            Problem(
                topic.name,
                "the number of partitions",
                str(topic.partitions),
                str(spec.max_partitions),
                f"only one partition keeps all {spec.kind} in order",
                "no tool takes partitions away: delete the topic and run 'tally topics apply', "
                "or choose another TALLY_KAFKA_TOPIC_PREFIX",
            )
        )
    for need in needs_of(spec, replicas=topic.replicas, events=events):
        value = topic.config.get(need.setting)
        if value is None or not need.holds(value):
            found = "not set" if value is None else value
            wrong.append(
                Problem(
                    topic.name,
                    need.setting,
                    found,
                    need.needed,
                    need.why,
                    APPLY,
                    need.breaks,
                )
            )
    return wrong + _advice(spec, topic)


def _advice(spec: TopicSpec, topic: Topic) -> list[Problem]:
    """What no rule forbids, and somebody will regret."""
    advice = []
    in_sync = topic.config.get(_MIN_INSYNC) or "1"
    if topic.replicas < _SAFE_REPLICAS:
        lost = "what one broker acknowledged is lost with it; right on a laptop only"
        stops = "with one broker down nothing can be appended"
        why = stops if int(in_sync) > 1 else lost
        found = f"{topic.replicas} ({_MIN_INSYNC}={in_sync})"
        needed = f"{_SAFE_REPLICAS} or more"
        advice.append(Problem(topic.name, "replicas", found, needed, why, _MOVE, breaks=False))
    elif int(in_sync) == topic.replicas:
        why = "with one broker down nothing can be appended"
        mend = "run 'tally topics apply --min-insync-replicas 2'"
        needed = f"less than its {topic.replicas} replicas"
        advice.append(Problem(topic.name, _MIN_INSYNC, in_sync, needed, why, mend, breaks=False))
    limit = topic.config.get(_RETENTION_BYTES) or "-1"
    if spec is EVENTS and limit != "-1":
        why = "a rush deletes events before a consumer has stored them, whatever retention.ms says"
        mend = f"delete it with kafka-configs --alter --delete-config {_RETENTION_BYTES}"
        advice.append(Problem(topic.name, _RETENTION_BYTES, limit, "-1", why, mend, breaks=False))
    return advice


def _min_insync_need(replicas: int) -> Need:
    least = 2 if replicas >= _SAFE_REPLICAS else 1
    return Need(
        _MIN_INSYNC,
        lambda value: least <= int(value) <= replicas,
        str(least),
        f"{least} to {replicas}, with {replicas} replica(s)",
        "fewer: what one broker alone holds is acknowledged; more: nothing can be appended",
    )


def _letters_size_need(events: Topic | None) -> Need:
    """A letter holds a whole record, however large the topic of events let it be, and headers."""
    largest = int((events and events.config.get(_MAX_BYTES)) or MIN_BATCH_BYTES)
    least = 2 * max(largest, MIN_BATCH_BYTES)
    return Need(
        _MAX_BYTES,
        _at_least(least),
        str(max(least, _LETTERS_BATCH_BYTES)),
        f"at least {least}, twice that of the events",
        "a letter is a whole record and more, and one that does not fit stops the consumer",
    )
