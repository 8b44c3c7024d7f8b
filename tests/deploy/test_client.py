"""Where the command line finds the log, the API and ClickHouse."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.client import CLIENT_FILE, find_clickhouse, find_kafka, find_url

FILE = """\
BASE_URL=http://127.0.0.1:8080
CLICKHOUSE_URL=http://127.0.0.1:1
TALLY_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:2
TALLY_KAFKA_TOPIC_PREFIX=own
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of a shell beside a stack on Kafka."""
    (tmp_path / CLIENT_FILE).write_text(FILE)
    return {"TALLY_DATA": str(tmp_path)}


def test_the_log_of_the_data_directory_is_found(env: dict[str, str]) -> None:
    """Address and prefix come from the file, the rest from the environment."""
    kafka = find_kafka(
        {**env, "TALLY_KAFKA_SASL_USERNAME": "", "TALLY_KAFKA_BOOTSTRAP_SERVERS": ""}
    )
    assert kafka is not None
    assert (kafka.bootstrap_servers, kafka.topic_prefix) == ("127.0.0.1:2", "own")


def test_the_environment_goes_first_and_whole(env: dict[str, str]) -> None:
    """The prefix of the file is that of its own Kafka, and not of another one."""
    kafka = find_kafka({**env, "TALLY_KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"})
    assert kafka is not None
    assert (kafka.bootstrap_servers, kafka.topic_prefix) == ("kafka:9092", "tally")


def test_without_a_kafka_the_log_is_embedded(tmp_path: Path) -> None:
    """Neither a missing file nor one of an embedded stack names a Kafka."""
    env = {"TALLY_DATA": str(tmp_path)}
    assert find_kafka(env) is None
    (tmp_path / CLIENT_FILE).write_text("BASE_URL=http://127.0.0.1:8080\n")
    assert find_kafka(env) is None


def test_api_and_clickhouse_are_found(env: dict[str, str], tmp_path: Path) -> None:
    """Those of the file; without one, those of the environment; else none."""
    clickhouse = find_clickhouse({**env, "TALLY_CLICKHOUSE_URL": "http://prod:8123"})
    assert clickhouse is not None
    assert clickhouse.url == "http://127.0.0.1:1"
    assert find_url(env) == "http://127.0.0.1:8080"
    assert find_url({**env, "TALLY_URL": "https://tally/v1"}) == "https://tally"
    nowhere = {"TALLY_DATA": str(tmp_path / "none")}
    assert (find_clickhouse(nowhere), find_url(nowhere)) == (None, None)
    clickhouse = find_clickhouse({**nowhere, "TALLY_CLICKHOUSE_URL": "http://prod:8123"})
    assert clickhouse is not None
    assert clickhouse.url == "http://prod:8123"
