"""`tally topics` as it is called."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Callable

import pytest

from tests.support.kafka import Kafka
from tests.support.stack import TALLY

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(kafka: Kafka) -> Run:
    """`tally topics`, with topics that no other test has."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_KAFKA")}
    env["TALLY_KAFKA_BOOTSTRAP_SERVERS"] = kafka.bootstrap_servers
    env["TALLY_KAFKA_TOPIC_PREFIX"] = f"command-{uuid.uuid4().hex[:8]}"

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [TALLY, "topics", *arguments],
            env={**env, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_apply_tells_what_it_changed(run: Run) -> None:
    """A dry run tells what apply then does, apply tells old and new, and again is nothing to do."""
    verified = run("verify")
    assert (verified.returncode, verified.stdout.count("error: ")) == (1, 3)
    dry = run("apply", "--dry-run")
    made = run("apply")
    assert (dry.returncode, made.returncode) == (0, 0), dry.stderr + made.stderr
    assert dry.stdout == "would change:\n" + made.stdout
    assert ".events: new, partitions=12, replicas=" in made.stdout
    again = run("apply")
    assert (again.returncode, again.stdout) == (0, "nothing to do\n")
    grown = run("apply", "--partitions", "16", "--retention-hours", "48")
    assert grown.returncode == 0, grown.stderr
    assert ".events: partitions: 12 -> 16\n" in grown.stdout
    assert ".events: retention.ms: 604800000 -> 172800000\n" in grown.stdout
    assert "warning: " in grown.stderr
    verified = run("verify")
    assert verified.returncode == 0
    assert ".events: ok, 16 partition(s), " in verified.stdout


def test_verify_gives_json(run: Run) -> None:
    """A program reads whether it is well, what is there, and every field of a problem."""
    run("apply")
    answer = run("verify", "--json")
    found = json.loads(answer.stdout)
    assert (answer.returncode, found["ok"]) == (0, True)
    assert [topic["partitions"] for topic in found["topics"]] == [12, 3, 1]
    answer = run("verify", "--json", TALLY_KAFKA_TOPIC_PREFIX="nobody.made.these")
    found = json.loads(answer.stdout)
    assert (answer.returncode, found["ok"], found["topics"]) == (1, False, [])
    assert found["problems"][0]["topic"] == "nobody.made.these.events"
    assert found["problems"][0]["breaks"] is True


@pytest.mark.parametrize("command", ["apply", "verify"])
def test_one_line_says_what_is_wrong(run: Run, command: str) -> None:
    """A variable that is missing or wrong, or a broker that is not there: one line, status 1."""
    for servers in ("", "kafka", "127.0.0.1:1"):
        failed = run(command, TALLY_KAFKA_BOOTSTRAP_SERVERS=servers)
        assert (failed.returncode, failed.stdout) == (1, "")
        assert failed.stderr.startswith("tally topics: ")
        assert failed.stderr.count("\n") == 1
        assert "TALLY_KAFKA_BOOTSTRAP_SERVERS" in failed.stderr
