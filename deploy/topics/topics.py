"""The topics in Kafka: asks its brokers for them, makes them, mends them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidPartitionsError,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    RequestTimedOutError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from deploy.topics.outcome import Applied, TopicsError, Verdict
from deploy.topics.plan import Change, Plan, Wanted, plan
from schemas.kafka import KafkaSettings
from schemas.topic_answers import Topic, read_topics
from schemas.topics import APPLY, Problem, check, topics_of

_REQUEST_TIMEOUT_MS: Final = 10_000
# How long an answer may be one that passes: a broker that is down stays in the metadata a while.
_PATIENCE_S: Final = 30.0
# How long the brokers have to tell each other of a change, and to choose leaders.
_SETTLE_S: Final = 20.0
_BACKOFF_S: Final = 0.1

_Answer = TypeVar("_Answer")


async def verify(settings: KafkaSettings) -> Verdict:
    """Look at the topics and change nothing. Raises TopicsError."""
    async with _connected(settings) as admin:
        found = await _describe(admin, settings)
    return Verdict(found, check(topics_of(settings), found))


async def cluster_id(settings: KafkaSettings) -> str:
    """Give the ID of the cluster, whatever its address is. Raises TopicsError."""
    async with _connected(settings) as admin:
        return str((await _patiently(admin.describe_cluster))["cluster_id"])


async def apply(settings: KafkaSettings, wanted: Wanted, *, dry_run: bool = False) -> Applied:
    """Make the topics that are missing, and mend the settings of those that exist.

    Nothing is changed unless all of it can be planned. Settings that nobody here knows stay.
    Done again, it changes nothing. With ``dry_run`` it only tells; ``problems`` is then empty.
    Raises TopicsError, also if a broker takes a setting and keeps another; if it is cancelled,
    what was changed stays so.
    """
    done: list[Change] = []
    try:
        async with _connected(settings) as admin:
            plans = await _plan_all(admin, settings, wanted)
            if not dry_run:
                for step in plans:
                    await _carry_out(admin, settings, step)
                    done += step.changes
            problems = [] if dry_run else await _problems_left(admin, settings)
    except TopicsError as error:
        if not done:
            raise
        before = ", ".join(f"{change.topic} {change.setting}={change.new}" for change in done)
        raise TopicsError(f"{error}; changed before that: {before}") from error
    return Applied(
        [change for step in plans for change in step.changes],
        [warning for step in plans for warning in step.warnings],
        problems,
    )


async def _plan_all(
    admin: AIOKafkaAdminClient, settings: KafkaSettings, wanted: Wanted
) -> list[Plan]:
    found = await _describe(admin, settings)
    cluster = await _patiently(admin.describe_cluster)
    events = found.get(settings.events_topic)
    try:
        return [
            plan(
                name,
                spec,
                found.get(name),
                wanted,
                brokers=len(cluster["brokers"]),
                events=events,
            )
            for name, spec in topics_of(settings).items()
        ]
    except ValueError as error:
        raise TopicsError(str(error)) from None


async def _problems_left(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> list[Problem]:
    """Give what is wrong after all was carried out.

    Any broker may answer, also one that has not heard of a change that another shows already: so
    one that is mended by what was done just now has a while to go away.
    """
    deadline = time.monotonic() + _SETTLE_S
    while True:
        problems = check(topics_of(settings), await _describe(admin, settings))
        stale = any(problem.breaks and problem.mend == APPLY for problem in problems)
        if not stale or time.monotonic() >= deadline:
            return problems
        await asyncio.sleep(_BACKOFF_S)


async def _carry_out(admin: AIOKafkaAdminClient, settings: KafkaSettings, step: Plan) -> None:
    if step.make:
        await _make(admin, step)
    elif step.partitions:
        await _grow(admin, settings, step)
    if step.make or step.partitions:
        await _settled(
            admin,
            settings,
            step.topic,
            lambda topic: topic.partitions >= step.partitions and not topic.leaderless,
            f"has not {step.partitions} partitions, each with a leader",
        )
    if step.config and not step.make:
        await _write(admin, settings, step)


async def _make(admin: AIOKafkaAdminClient, step: Plan) -> None:
    new = NewTopic(step.topic, step.partitions, step.replicas, topic_configs=dict(step.config))
    try:
        answer = await _patiently(lambda: admin.create_topics([new]))
        _check_codes(answer.topic_errors)
    except TopicAlreadyExistsError:
        # Somebody made it since we looked, or our own first try did and its answer was lost. What
        # is wrong with it, if anything, is found at the end.
        pass


async def _grow(admin: AIOKafkaAdminClient, settings: KafkaSettings, step: Plan) -> None:
    growth = {step.topic: NewPartitions(step.partitions)}
    try:
        await _patiently(lambda: admin.create_partitions(growth))
    except InvalidPartitionsError:
        # As above: it may have them by now.
        topic = (await _describe(admin, settings)).get(step.topic)
        if topic is None or topic.partitions < step.partitions:
            raise


async def _write(admin: AIOKafkaAdminClient, settings: KafkaSettings, step: Plan) -> None:
    """Write settings over those that a topic has of its own.

    Kafka replaces all of a topic's settings by those of the request: one that is left out goes
    back to its default (a new retention alone would put the timestamps back to CreateTime). So
    they are read again right before, merged, written, and read back. A change that somebody else
    makes between our reading and our writing is lost, as with every tool that uses this request.
    """
    before = (await _describe(admin, settings))[step.topic].own
    hidden = [setting for setting, value in before.items() if value is None]
    if hidden:
        raise TopicsError(
            f"{step.topic}: the broker hides the value of {', '.join(hidden)}, so writing other "
            f"settings would lose it; set {dict(step.config)} with kafka-configs"
        )
    merged = {**before, **step.config}
    resource = ConfigResource(ConfigResourceType.TOPIC, step.topic, merged)
    for answer in await _patiently(lambda: admin.alter_configs([resource])):
        _check_codes((name, code, text) for code, text, _type, name in answer.resources)
    await _settled(
        admin,
        settings,
        step.topic,
        lambda topic: topic.own == merged,
        f"does not have the settings that were written, {merged}",
    )


async def _settled(
    admin: AIOKafkaAdminClient,
    settings: KafkaSettings,
    name: str,
    is_so: Callable[[Topic], bool],
    otherwise: str,
) -> None:
    """Wait until a topic is as it should be by now. Raises TopicsError if it never is."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        topic = (await _describe(admin, settings)).get(name)
        if topic is not None and is_so(topic):
            return
        if time.monotonic() >= deadline:
            state = "it is not there" if topic is None else f"it is {topic._replace(config={})}"
            raise TopicsError(f"{name} {otherwise} after {_SETTLE_S:g} s; {state}")
        await asyncio.sleep(_BACKOFF_S)


async def _describe(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> dict[str, Topic]:
    # Asked for a topic by name, a broker with auto.create.topics.enable makes it; for all, none.
    topics = await _patiently(admin.describe_topics)
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in topics_of(settings)]
    answers = await _patiently(lambda: admin.describe_configs(resources))
    configs = [resource for answer in answers for resource in answer.to_object()["resources"]]
    try:
        return read_topics(topics, configs)
    except ValueError as error:
        raise TopicsError(str(error)) from None


async def _patiently(ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Ask again while the error is one that passes: each time another broker may be asked.

    A time-out passes too: aiokafka asks the one broker that it holds for the controller until
    then, even if that is gone, and by the next time it has learned of another.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return await ask()
        except (KafkaError, TimeoutError) as error:
            passes = isinstance(error, TimeoutError) or error.retriable
            if not passes or time.monotonic() >= deadline:
                raise
        await asyncio.sleep(_BACKOFF_S)


def _check_codes(answers: Iterable[tuple[str, int, str | None]]) -> None:
    """Raise the first error of an answer that holds one for each topic."""
    for name, code, text in answers:
        if code:
            raise for_code(code)(f"{name}: {text}")


@asynccontextmanager
async def _connected(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect for as long as the block runs. What goes wrong in it becomes a TopicsError."""
    try:
        options = settings.client_options()
    except (OSError, ValueError) as error:
        raise TopicsError(f"the files of TALLY_KAFKA_SSL_* can't be used: {error}") from None
    admin = AIOKafkaAdminClient(**options, request_timeout_ms=_REQUEST_TIMEOUT_MS)
    last_words = _LastWords(logging.WARNING)
    logger = logging.getLogger("aiokafka")
    logger.addHandler(last_words)
    try:
        await admin.start()
        yield admin
    except (KafkaError, TimeoutError) as error:
        raise TopicsError(_in_words(error, settings, last_words.text)) from None
    finally:
        logger.removeHandler(last_words)
        await admin.close()


class _LastWords(logging.Handler):
    """Keeps the last thing aiokafka logged: its errors don't say why a connection failed."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        # It ends in the error, and a time-out has no text.
        self.text = f"{text}no answer" if text.endswith(": ") else text


def _in_words(error: Exception, settings: KafkaSettings, last_words: str) -> str:
    match error:
        case NodeNotReadyError():
            return (
                "the brokers of TALLY_KAFKA_BOOTSTRAP_SERVERS name themselves by addresses "
                f"(advertised.listeners) that don't answer: {last_words or error}"
            )
        case KafkaConnectionError() | RequestTimedOutError() | TimeoutError():
            return (
                f"no broker of TALLY_KAFKA_BOOTSTRAP_SERVERS={settings.bootstrap_servers} answers "
                f"(with TALLY_KAFKA_SECURITY_PROTOCOL={settings.security_protocol}): "
                f"{last_words or error}"
            )
        case TopicAuthorizationFailedError() | ClusterAuthorizationFailedError():
            return (
                "Kafka forbids it to this user (TALLY_KAFKA_SASL_USERNAME or "
                "TALLY_KAFKA_SSL_CERT_FILE), who needs Create, Alter, AlterConfigs and "
                f"DescribeConfigs on the topics: {error}"
            )
        case _:
            return f"Kafka refuses it: {error}"
