"""A topic of Kafka as its brokers describe it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

# In Kafka's protocol.
_UNKNOWN_TOPIC: Final = 3
_NOT_AUTHORIZED: Final = 29
_SET_ON_TOPIC: Final = 1


class Topic(NamedTuple):
    """A topic as it is: ``replicas`` is the fewest of any partition, ``leaderless`` how many
    partitions have no leader.

    ``config`` is every setting that holds, defaults included; ``own`` only those that are set on
    the topic itself, with None for a value that the broker hides.
    """

    name: str
    partitions: int
    replicas: int
    leaderless: int
    config: Mapping[str, str | None]
    own: Mapping[str, str | None]


def read_topics(
    topics: Sequence[Mapping[str, Any]], configs: Sequence[Mapping[str, Any]]
) -> dict[str, Topic]:
    """Read topics out of Kafka's answers: the topics of a metadata response and the resources of
    a describe-configs response, as aiokafka's ``to_object()`` gives them.

    Gives those that are in both. Raises ValueError for a topic whose settings can't be read.
    """
    partitions = {topic["topic"]: topic["partitions"] for topic in topics}
    found = {}
    for resource in configs:
        name = resource["resource_name"]
        code = resource["error_code"]
        if code == _UNKNOWN_TOPIC or not partitions.get(name):
            continue
        if code:
            hint = " (the user needs DescribeConfigs on it)" if code == _NOT_AUTHORIZED else ""
            text = resource["error_message"] or f"Kafka's error {code}"
            raise ValueError(f"the settings of topic {name} can't be read: {text}{hint}")
        entries = resource["config_entries"]
        found[name] = Topic(
            name,
            partitions=len(partitions[name]),
            replicas=min(len(partition["replicas"]) for partition in partitions[name]),
            leaderless=sum(partition["leader"] < 0 for partition in partitions[name]),
            config={entry["config_names"]: entry["config_value"] for entry in entries},
            own={
                entry["config_names"]: entry["config_value"]
                for entry in entries
                if _is_set_on_topic(entry)
            },
        )
    return found


def _is_set_on_topic(entry: Mapping[str, Any]) -> bool:
    """Tell a topic's own setting from a default, in either form of the answer."""
    if "config_source" in entry:
        return bool(entry["config_source"] == _SET_ON_TOPIC)
    return not entry["is_default"]
