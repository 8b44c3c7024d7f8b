"""What came of looking at the topics, or of changing them."""

from __future__ import annotations

from typing import NamedTuple

from deploy.topics.plan import Change
from schemas.topic_answers import Topic
from schemas.topics import Problem


class TopicsError(Exception):
    """Kafka can't be asked, or does not do what it was told. The text is for the user."""


class Verdict(NamedTuple):
    """The topics that exist, by name, and what is wrong with all that must."""

    topics: dict[str, Topic]
    problems: list[Problem]


class Applied(NamedTuple):
    """What was changed (or would be), what that means, and what is wrong still."""

    changes: list[Change]
    warnings: list[str]
    problems: list[Problem]
