"""The topic is readable without a line of our code: by any client, by kcat, by ClickHouse."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest_gateway.partitioner import partition_of
from tests.support.clickhouse import ClickHouse
from tests.support.kafka import Kafka
from tests.support.services import Services, run, services
from tests.support.topics import read_topic
from tests.support.traffic import Client, Event, Traffic, ask

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ODD = {
    "event_id": 'odd "\\ \n \N{ROCKET} \u0001',
    "event_name": "n",
    "external_customer_id": "c",
    "customer_id": "",
    "source": "",
    "timestamp": "2026-03-01T00:00:00.000001Z",
    "properties": {'{"request_size"': 2**60, "nested": {"a": [1, None, "é"]}, "": True},
}


@pytest.fixture(scope="module")
def sent() -> list[Event]:
    return [*Traffic(seed=6, resent=0).bulk(200), ODD]


@pytest.fixture(scope="module")
def running(
    kafka: Kafka,
    engine: ClickHouse,
    sent: list[Event],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Services]:
    """Services whose gateway has taken the events, and no consumer."""
    directory = tmp_path_factory.mktemp("services")
    with services(directory, kafka.bootstrap_servers, engine.url) as made:
        made.start(consumers=0)
        client = Client(made)
        traced = {"X-Request-ID": "request 1", "traceparent": TRACE}
        assert client.send(sent[:100], **traced).status == 202
        assert client.send(sent[100:]).status == 202
        client.close()
        yield made


def test_a_plain_client_finds_keys_headers_and_json(running: Services, sent: list[Event]) -> None:
    """The key is tenant, NUL, event ID and decides the partition; the headers say what the value
    is and whence it came; the value is the event as JSON.
    """
    records = {record.key: record for record in run(lambda: read_topic(running.kafka))}
    assert len(records) == len(sent)
    for number, event in enumerate(sent):
        record = records[f"{running.tenant}\0{event['event_id']}".encode()]
        assert record.partition == partition_of(record.key, 4)
        headers = dict(record.headers)
        assert headers.pop("tally-format") == b"1"
        assert headers.pop("tally-dialect") == b"flexprice"
        assert headers.pop("content-type") == b"application/json"
        traced = {"x-request-id": b"request 1", "traceparent": TRACE.encode()}
        if number < 100:
            assert headers == traced
        else:
            assert list(headers) == ["x-request-id"]  # one that the gateway made
        assert json.loads(record.value) == {**event, "tenant": running.tenant}


def test_clickhouse_reads_the_values_by_itself(running: Services, sent: list[Event]) -> None:
    """Fed as JSONEachRow, with the columns' own types, every field comes out as it was sent."""
    records = run(lambda: read_topic(running.kafka))
    structure = (
        "tenant String, event_id String, event_name String, external_customer_id String,"
        " customer_id String, source String, timestamp DateTime64(6, \\'UTC\\'), properties String"
    )
    lines = b"\n".join(record.value for record in records).decode()
    query = f"SELECT * FROM format(JSONEachRow, '{structure}', {{lines:String}}) FORMAT JSONEachRow"
    answer = ask(
        running,
        query,
        param_lines=lines.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t"),
        input_format_json_read_objects_as_strings="1",
        date_time_input_format="best_effort",
        date_time_output_format="iso",
    )
    found = {}
    for line in answer.splitlines():
        row = json.loads(line)
        assert row.pop("tenant") == running.tenant
        found[row["event_id"]] = {**row, "properties": json.loads(row["properties"])}
    assert found == {event["event_id"]: event for event in sent}


def test_kcat_reads_the_topic(running: Services, sent: list[Event], tmp_path: Path) -> None:
    """Another library's client decompresses and lists everything, key, headers and value."""
    kcat = shutil.which("kcat") or shutil.which("kafkacat")
    if kcat is None:
        if os.environ.get("CI"):
            pytest.fail("kcat is needed here")
        # Debian's package; what it shows beyond the plain client is that another library agrees.
        pytest.skip("needs kcat")
    ended = subprocess.run(
        [
            *(kcat, "-C", "-e", "-q", "-J", "-o", "beginning"),
            *("-b", running.kafka.bootstrap_servers, "-t", running.kafka.events_topic),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(found) == len(sent)
    events = {event["event_id"]: event for event in sent}
    for record in found:
        value = json.loads(record["payload"])
        assert record["tstype"] == "logappend"
        assert record["key"] == f"{running.tenant}\0{value['event_id']}"
        assert record["partition"] == partition_of(record["key"].encode(), 4)
        headers = dict(zip(record["headers"][::2], record["headers"][1::2], strict=True))
        assert headers["tally-format"] == "1"
        assert value == {**events[value["event_id"]], "tenant": running.tenant}
