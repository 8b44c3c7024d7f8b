"""The command line against a running stack: keys, status and sending one event."""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from tests.pipeline.client import Tenant, new_tenant
from tests.support.stack import Stack, wait_until

SECONDS = 10.0


def created(stack: Stack, tenant: str) -> dict[str, str]:
    """A new key as `--json` shows it."""
    made = stack.tally("keys", "create", "--tenant", tenant, "--json")
    assert made.returncode == 0, made.stderr
    return dict(json.loads(made.stdout))


def works(stack: Stack, tenant: str, key: str) -> bool:
    """Whether both reading and writing take the key; they must not differ for long."""
    view = Tenant(stack, tenant, key)
    statuses = (view.get_list().status, view.post("/v1/events", {}).status)
    assert statuses[0] in {200, 401}, statuses
    assert statuses[1] in {400, 401}, statuses
    return statuses == (200, 400)


def test_create_prints_the_key_alone_on_stdout(stack: Stack) -> None:
    """Stdout is one line with the key, fit for `KEY=$(...)`; all words are on stderr."""
    made = stack.tally("keys", "create", "--tenant", "keys-plain", "--name", "a name")
    assert made.returncode == 0
    assert re.fullmatch(r"\S{32,}\n", made.stdout)
    assert "keys-plain" in made.stderr
    assert made.stdout.strip() not in made.stderr
    wait_until(
        lambda: works(stack, "keys-plain", made.stdout.strip()), within_s=SECONDS, what="it works"
    )


def test_create_gives_json_with_the_secrets(stack: Stack) -> None:
    """With --json stdout is one object of the key and the Sequence ID and secret."""
    made = created(stack, "keys-json")
    assert made["tenant"] == "keys-json"
    secrets = {made[name] for name in ("key", "sequence_id", "sequence_secret")}
    assert len(secrets) == 3
    assert all(secrets)


def test_a_key_works_and_stops_within_seconds(stack: Stack) -> None:
    """A new key is taken and a revoked one refused without a restart; its sisters stay good."""
    first, second = created(stack, "keys-life"), created(stack, "keys-life")
    assert first["key"] != second["key"]
    for made in (first, second):
        wait_until(
            partial(works, stack, "keys-life", made["key"]),
            within_s=SECONDS,
            what="a new key works",
        )
    revoked = stack.tally("keys", "revoke", first["key_id"])
    assert revoked.returncode == 0, revoked.stderr
    view = Tenant(stack, "keys-life", first["key"])
    wait_until(lambda: view.get_list().status == 401, within_s=SECONDS, what="no reads")
    wait_until(lambda: view.post("/v1/events", {}).status == 401, within_s=SECONDS, what="no sends")
    assert works(stack, "keys-life", second["key"])


def test_list_shows_keys_and_no_secret(stack: Stack) -> None:
    """The list tells every key's ID, tenant, name and state, and never what it opens with."""
    made = created(stack, "keys-list")
    stack.tally("keys", "create", "--tenant", "keys-list-other")
    as_json = stack.tally("keys", "list", "--json")
    listed = {row["key_id"]: row for row in json.loads(as_json.stdout)}
    assert {"keys-list", "keys-list-other", "default"} <= {row["tenant"] for row in listed.values()}
    assert listed[made["key_id"]]["revoked_at"] is None
    for output in (as_json, stack.tally("keys", "list")):
        assert output.returncode == 0
        for text in (output.stdout, output.stderr):
            assert made["key"] not in text
            assert made["sequence_secret"] not in text
            assert "hash" not in text
    of_one = json.loads(stack.tally("keys", "list", "--tenant", "keys-list", "--json").stdout)
    assert [row["key_id"] for row in of_one] == [made["key_id"]]
    stack.tally("keys", "revoke", made["key_id"])
    (row,) = json.loads(stack.tally("keys", "list", "--tenant", "keys-list", "--json").stdout)
    assert datetime.fromisoformat(row["revoked_at"])


def test_list_shows_a_key_id_that_revoke_takes(stack: Stack) -> None:
    """The table shows key IDs whole, also when it is not on a terminal."""
    made = created(stack, "keys-with-a-rather-long-tenant-name")
    assert made["key_id"] in stack.tally("keys", "list").stdout


def test_a_bad_tenant_name_is_refused(stack: Stack) -> None:
    """A name that can't be a tenant is exit 1, a message on stderr that says so, and no key."""
    before = stack.tally("keys", "list", "--json").stdout
    for name in ("", "two words", "a/b", "-dash", "é", "x" * 64, "a\nb"):
        made = stack.tally("keys", "create", f"--tenant={name}")
        assert (made.returncode, made.stdout) == (1, ""), name
        assert "tenant" in made.stderr
        assert "Traceback" not in made.stderr
    assert stack.tally("keys", "list", "--json").stdout == before


@pytest.mark.parametrize("key_id", ["key_0000000000000000", ""])
def test_revoking_what_is_no_key_is_refused(stack: Stack, key_id: str) -> None:
    """An unknown key ID is exit 1 and a message that names it."""
    revoked = stack.tally("keys", "revoke", key_id)
    assert revoked.returncode == 1
    assert (key_id or "key") in revoked.stderr
    assert "Traceback" not in revoked.stderr


def test_status_says_what_is_up(stack: Stack) -> None:
    """With all parts up, status is exit 0 and names each part, the lag and the events."""
    shown = stack.tally("status")
    assert shown.returncode == 0, shown.stderr
    for part in ("api", "consumer", "clickhouse", "log", "lag"):
        assert part in shown.stdout


def test_status_gives_json(stack: Stack) -> None:
    """With --json stdout is one object; the count is of events, not of sends."""
    tenant = new_tenant(stack, "status-json")
    tenant.send_bulk([{"event_id": "one", "event_name": "call", "external_customer_id": "c"}] * 3)
    tenant.wait_for("one")
    stack.wait_until_stored()
    shown = stack.tally("status", "--json")
    assert shown.returncode == 0, shown.stderr
    status: dict[str, Any] = json.loads(shown.stdout)
    assert set(status["parts"].values()) == {"ok"}
    assert {partition["records"] for partition in status["lag"]} == {0}
    assert status["events"]["status-json"] == 1


def test_status_of_nothing_is_exit_1(stack: Stack, tmp_path: Any) -> None:
    """Where no stack runs, status says so and is exit 1, not an error of Python's."""
    alone = Stack(tmp_path / "no-data", 1)
    shown = alone.tally("status")
    assert shown.returncode == 1
    assert "Traceback" not in shown.stderr + shown.stdout


def test_send_prints_the_id_of_an_event_that_can_be_read(stack: Stack) -> None:
    """Stdout is the event's ID and nothing else, made or given, and the event is there."""
    tenant = new_tenant(stack, "send-command")
    common = ["send", "--name", "call", "--customer", "acme", "--key", tenant.key]
    made = stack.tally(*common)
    assert made.returncode == 0, made.stderr
    assert re.fullmatch(r"\S+\n", made.stdout)
    full = stack.tally(
        *common,
        *("--id", "own id", "--source", "shell", "--customer-id", "c-1"),
        *("--timestamp", "2024-03-20T15:04:05.123456+01:00"),
        *("--property", "bytes=512", "--property", "name=two words", "--property", 'zip="12"'),
    )
    assert (full.returncode, full.stdout) == (0, "own id\n"), full.stderr
    tenant.wait_for(made.stdout.strip(), "own id")
    assert tenant.lookup("own id").json == {
        "id": "own id",
        "event_name": "call",
        "external_customer_id": "acme",
        "customer_id": "c-1",
        "timestamp": "2024-03-20T14:04:05.123456Z",
        "properties": {"bytes": 512, "name": "two words", "zip": "12"},
        "source": "shell",
        "environment_id": "send-command",
    }


def test_send_takes_the_stacks_own_key_by_default(stack: Stack) -> None:
    """Without a key the one of client.env is used, and the event is that tenant's."""
    sent = stack.tally("send", "--name", "call", "--customer", "acme")
    assert sent.returncode == 0, sent.stderr
    own = Tenant(stack, "default", stack.client["API_KEY"])
    own.wait_for(sent.stdout.strip())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--timestamp", "2024-01-01T00:00:00"], "offset"),
        (["--properties", "{"], "properties"),
        (["--key", "wrong"], "key"),
        (["--id", "x" * 5000], "event_id"),
    ],
    ids=str,
)
def test_a_send_that_is_refused_says_why(stack: Stack, arguments: list[str], said: str) -> None:
    """A refused event is a non-zero exit, nothing on stdout, and the reason on stderr."""
    sent = stack.tally("send", "--name", "call", "--customer", "acme", *arguments)
    assert sent.returncode != 0
    assert sent.stdout == ""
    assert said in sent.stderr
    assert "Traceback" not in sent.stderr
