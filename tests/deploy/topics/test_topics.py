"""Topics in a real Kafka: made, mended, grown, and never made worse."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.embedded.kafka.config import Listener
from deploy.topics.outcome import TopicsError
from deploy.topics.plan import Change, Wanted
from deploy.topics.topics import apply, verify
from schemas.kafka import KafkaSettings
from tests.support.clickhouse import free_port
from tests.support.kafka import Broker, Kafka, cluster, one_node

SASL = {
    "sasl.enabled.mechanisms": "PLAIN",
    "plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule required "
    'user_tally="right";',
}
# Whoever comes without a name may do everything, so that the broker may register with itself.
AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
}


@pytest.fixture
def settings(kafka: Kafka) -> KafkaSettings:
    """The shared Kafka, with topics that no other test has."""
    prefix = f"topics-{uuid.uuid4().hex[:8]}"
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, topic_prefix=prefix)


async def make_by_hand(
    settings: KafkaSettings, topic: str, *, partitions: int = 1, **config: str
) -> None:
    """Make a topic as somebody would who knows nothing of Tally."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        named = {name.replace("_", "."): value for name, value in config.items()}
        made = await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=named)])
        assert made.topic_errors[0][1] == 0, made
    finally:
        await admin.close()


async def breaking(settings: KafkaSettings) -> list[tuple[str, str]]:
    """Topic, without its prefix, and setting of each problem that breaks the design."""
    verdict = await verify(settings)
    prefix = settings.topic_prefix + "."
    return [(p.topic.removeprefix(prefix), p.setting) for p in verdict.problems if p.breaks]


async def test_topics_are_made_and_made_once(settings: KafkaSettings) -> None:
    """The first time makes all three as they must be, the second finds nothing to do."""
    assert len(await breaking(settings)) == 3
    applied = await apply(settings, Wanted())
    assert not [problem for problem in applied.problems if problem.breaks]
    found = (await verify(settings)).topics
    assert [topic.partitions for topic in found.values()] == [12, 3, 1]
    assert not any(topic.leaderless for topic in found.values())
    assert found[settings.events_topic].own["message.timestamp.type"] == "LogAppendTime"
    assert found[settings.keys_topic].own["cleanup.policy"] == "compact"
    assert (await apply(settings, Wanted())).changes == []
    assert (await verify(settings)).topics == found


async def test_two_that_make_them_at_once(settings: KafkaSettings) -> None:
    """Each of two deployments that start together finds the topics made, and neither fails."""
    await asyncio.gather(apply(settings, Wanted()), apply(settings, Wanted()))
    assert await breaking(settings) == []


async def test_looking_makes_nothing(settings: KafkaSettings) -> None:
    """Neither verify nor a dry run leaves a topic behind, though the latter tells of them."""
    assert (await verify(settings)).topics == {}
    applied = await apply(settings, Wanted(), dry_run=True)
    assert Change(settings.events_topic, "partitions", None, "12") in applied.changes
    assert (await verify(settings)).topics == {}


async def test_looking_makes_nothing_where_asking_makes_topics(tmp_path: Path) -> None:
    """Kafka's own default is to make a topic that is asked for by name; verify must not."""
    node = one_node(properties={"auto.create.topics.enable": "true"})
    with Broker(tmp_path, node) as broker:
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        await verify(settings)
        # It makes them behind its answer; topics that are made after these are there after them.
        await apply(replace(settings, topic_prefix="others"), Wanted())
        assert (await verify(settings)).topics == {}


async def test_other_settings_survive_a_change(settings: KafkaSettings) -> None:
    """A new retention leaves the broker's time, and what nobody here knows, as they were."""
    await make_by_hand(
        settings,
        settings.events_topic,
        message_timestamp_type="LogAppendTime",
        segment_bytes="104857600",
        compression_type="zstd",
    )
    await apply(settings, Wanted(retention_hours=48))
    events = (await verify(settings)).topics[settings.events_topic]
    assert events.own == {
        "message.timestamp.type": "LogAppendTime",
        "segment.bytes": "104857600",
        "compression.type": "zstd",
        "retention.ms": str(48 * 3_600_000),
    }


async def test_topics_made_by_hand_are_reported_and_mended(settings: KafkaSettings) -> None:
    """Verify names each setting that is wrong, apply mends it and tells old and new."""
    await make_by_hand(settings, settings.events_topic, retention_ms="60000")
    await make_by_hand(settings, settings.dead_letters_topic, segment_bytes="104857600")
    assert await breaking(settings) == [
        ("events", "message.timestamp.type"),
        ("events", "retention.ms"),
        ("dead-letters", "cleanup.policy"),
        ("dead-letters", "max.message.bytes"),
        ("keys", "the topic of keys"),
    ]
    applied = await apply(settings, Wanted())
    assert (
        Change(settings.events_topic, "message.timestamp.type", "CreateTime", "LogAppendTime")
        in applied.changes
    )
    assert "producers' times" in applied.warnings[0]
    assert await breaking(settings) == []
    letters = (await verify(settings)).topics[settings.dead_letters_topic]
    assert letters.own["segment.bytes"] == "104857600"


async def test_partitions_grow_and_never_shrink(settings: KafkaSettings) -> None:
    """Four become eight, each with a leader; eight never become four, and nothing else changes."""
    await apply(settings, Wanted(partitions=4))
    grown = await apply(settings, Wanted(partitions=8))
    assert grown.changes == [Change(settings.events_topic, "partitions", "4", "8")]
    assert "another partition" in grown.warnings[0]
    with pytest.raises(TopicsError, match=r"--partitions 4: .* has 8, and Kafka takes none away"):
        await apply(settings, Wanted(partitions=4, retention_hours=9))
    events = (await verify(settings)).topics[settings.events_topic]
    assert (events.partitions, events.leaderless) == (8, 0)
    assert events.own["retention.ms"] != str(9 * 3_600_000)


async def test_keys_in_two_partitions_are_left_to_a_person(settings: KafkaSettings) -> None:
    """What apply can't mend it says, after it has made the rest."""
    await make_by_hand(settings, settings.keys_topic, partitions=2, cleanup_policy="compact")
    applied = await apply(settings, Wanted())
    assert [p.setting for p in applied.problems if p.breaks] == ["the number of partitions"]
    assert await breaking(settings) == [("keys", "the number of partitions")]


async def test_more_replicas_than_brokers(settings: KafkaSettings) -> None:
    """The error names the flag and the number of brokers, and no topic is made."""
    with pytest.raises(TopicsError, match=r"--replication-factor 99: .* has \d"):
        await apply(settings, Wanted(replication_factor=99))
    assert (await verify(settings)).topics == {}


async def test_kafka_refuses_a_topic(settings: KafkaSettings) -> None:
    """Kafka's own words come through: it takes no two names that differ in '.' and '_' only."""
    await apply(replace(settings, topic_prefix=f"{settings.topic_prefix}.a"), Wanted())
    with pytest.raises(TopicsError, match=r"Kafka refuses it: .*_a\.events.*collides"):
        await apply(replace(settings, topic_prefix=f"{settings.topic_prefix}_a"), Wanted())


async def test_a_user_who_may_not(tmp_path: Path) -> None:
    """A wrong password, a missing permission to read and one to write are told apart."""
    users = Listener(name="USERS", port=free_port(), protocol="SASL_PLAINTEXT", properties=SASL)
    node = one_node(listeners=[users], properties=AUTHORIZER)
    with Broker(tmp_path, node) as broker:
        everything = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        user = KafkaSettings(
            bootstrap_servers=f"127.0.0.1:{users.port}",
            security_protocol="SASL_PLAINTEXT",
            sasl_username="tally",
            sasl_password="right",
        )
        wrong = replace(user, sasl_password="wrong")
        with pytest.raises(TopicsError, match=r"no broker .*SASL_PLAINTEXT.*uthentication"):
            await verify(wrong)
        with pytest.raises(TopicsError, match=r"TALLY_KAFKA_SASL_USERNAME.*needs Create.*events"):
            await apply(user, Wanted())
        await apply(everything, Wanted())
        assert len(await breaking(everything)) == 0
        assert len(await breaking(user)) == 3


async def test_no_broker_answers() -> None:
    """The error names the variable, what it says, and why nobody answered."""
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(
        TopicsError, match=f"TALLY_KAFKA_BOOTSTRAP_SERVERS={address}.*refused|failed"
    ):
        await verify(KafkaSettings(bootstrap_servers=address))


async def test_a_cluster_that_loses_a_broker(tmp_path: Path) -> None:
    """Of three brokers topics get three replicas; with one lost they can still be looked after."""
    with cluster(tmp_path, 3) as brokers:
        servers = ",".join(broker.bootstrap_servers for broker in brokers)
        settings = KafkaSettings(bootstrap_servers=servers)
        applied = await apply(settings, Wanted(partitions=3))
        assert applied.problems == []
        made = {change.setting: change.new for change in applied.changes}
        assert (made["replicas"], made["min.insync.replicas"]) == ("3", "2")
        brokers[0].kill()
        assert (await verify(settings)).problems == []
        wanted = Wanted(retention_hours=24, partitions=6)
        applied = await apply(settings, wanted)
        assert [change.new for change in applied.changes] == ["6", str(24 * 3_600_000)]
        assert applied.problems == []
        async with asyncio.timeout(20):  # any broker answers, also one that has not heard of it yet
            while (await apply(settings, wanted, dry_run=True)).changes:
                pass
