"""`tally topics`: what it prints."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from deploy.client import find_kafka
from deploy.topics.outcome import TopicsError, Verdict
from deploy.topics.plan import Change, Wanted
from deploy.topics.topics import apply as apply_topics
from deploy.topics.topics import verify as verify_topics
from schemas.kafka import KafkaSettings
from schemas.topics import Problem, topics_of

_INTERRUPTED = 130


def apply(wanted: Wanted, *, dry_run: bool) -> int:
    """Make and mend the topics, and print each change. Gives the exit status: 1 if it can't be
    done, or if something is left that breaks the design and that it can't mend.
    """
    try:
        settings = find_kafka() or KafkaSettings.from_env(os.environ)
        applied = asyncio.run(apply_topics(settings, wanted, dry_run=dry_run))
    except (ValueError, TopicsError) as error:
        return _failed(error)
    except KeyboardInterrupt:
        return _INTERRUPTED
    if not applied.changes:
        sys.stdout.write("nothing to do\n")
    elif dry_run:
        sys.stdout.write("would change:\n")
    sys.stdout.writelines(f"{line}\n" for line in _in_words(applied.changes))
    sys.stderr.writelines(f"warning: {warning}\n" for warning in applied.warnings)
    sys.stderr.writelines(f"{_labelled(problem)}\n" for problem in applied.problems)
    return _status(applied.problems)


def verify(*, as_json: bool) -> int:
    """Print what is wrong with the topics. Gives the exit status: 1 if it breaks the design."""
    try:
        settings = find_kafka() or KafkaSettings.from_env(os.environ)
        verdict = asyncio.run(verify_topics(settings))
    except (ValueError, TopicsError) as error:
        return _failed(error)
    except KeyboardInterrupt:
        return _INTERRUPTED
    if as_json:
        sys.stdout.write(msgspec.json.encode(_as_json(settings, verdict)).decode() + "\n")
        return _status(verdict.problems)
    for name in topics_of(settings):
        topic = verdict.topics.get(name)
        wrong = [problem for problem in verdict.problems if problem.topic == name]
        if topic is not None:
            state = "breaks" if _status(wrong) else "ok"
            sys.stdout.write(
                f"{name}: {state}, {topic.partitions} partition(s), {topic.replicas} replica(s)\n"
            )
        sys.stdout.writelines(f"{_labelled(problem)}\n" for problem in wrong)
    return _status(verdict.problems)


def _as_json(settings: KafkaSettings, verdict: Verdict) -> dict[str, object]:
    return {
        "ok": not _status(verdict.problems),
        "topics": [
            {"name": topic.name, "partitions": topic.partitions, "replicas": topic.replicas}
            for topic in verdict.topics.values()
        ],
        "problems": [problem._asdict() for problem in verdict.problems],
    }


def _status(problems: Sequence[Problem]) -> int:
    return 1 if any(problem.breaks for problem in problems) else 0


def _labelled(problem: Problem) -> str:
    return f"{'error' if problem.breaks else 'advice'}: {problem}"


def _in_words(changes: Sequence[Change]) -> Iterator[str]:
    """Give a line for each topic that is new, and one for each setting of the others."""
    for topic, group in groupby(changes, key=lambda change: change.topic):
        of_topic = list(group)
        made = [f"{change.setting}={change.new}" for change in of_topic if change.old is None]
        if made:
            yield f"{topic}: new, {', '.join(made)}"
        for change in of_topic:
            if change.old is not None:
                yield f"{topic}: {change.setting}: {change.old} -> {change.new}"


def _failed(error: Exception) -> int:
    sys.stderr.write(f"tally topics: {error}\n")
    return 1
