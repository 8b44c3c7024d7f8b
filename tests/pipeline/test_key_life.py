"""A key's life in a running stack: scopes, limits, expiry, rotation, and when it was last used."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.pipeline.client import Tenant
from tests.support.stack import Stack, wait_until

SECONDS = 10.0
EVENT = {"event_name": "call", "external_customer_id": "c"}


def created(stack: Stack, tenant: str, *options: str) -> dict[str, Any]:
    """A new key as `--json` shows it."""
    made = stack.tally("keys", "create", "--tenant", tenant, "--json", *options)
    assert made.returncode == 0, made.stderr
    return dict(json.loads(made.stdout))


def row_of(stack: Stack, key_id: str) -> dict[str, Any]:
    """A key as `tally keys list --json` shows it."""
    listed = stack.tally("keys", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    (row,) = [row for row in json.loads(listed.stdout) if row["key_id"] == key_id]
    return dict(row)


def sends(stack: Stack, made: dict[str, Any]) -> int:
    return Tenant(stack, made["tenant"], made["key"]).post("/v1/events", EVENT).status


def reads(stack: Stack, made: dict[str, Any]) -> int:
    return Tenant(stack, made["tenant"], made["key"]).get_list().status


def test_a_key_does_what_its_scope_says(stack: Stack) -> None:
    """A key to read can't send, a key to send can't read, and the list shows which is which."""
    for scope, statuses in (("ingest", (202, 403)), ("read", (403, 200))):
        made = created(stack, "life-scopes", "--scope", scope)
        wait_until(lambda made=made: sends(stack, made) != 401, within_s=SECONDS, what="known")
        wait_until(lambda made=made: reads(stack, made) != 401, within_s=SECONDS, what="known")
        assert (sends(stack, made), reads(stack, made)) == statuses
        assert row_of(stack, made["key_id"])["scopes"] == [scope]


def test_a_key_expires_in_a_running_stack(stack: Stack) -> None:
    """Nothing is written and nothing started again: it counts, then it is a 401 that says why."""
    made = created(stack, "life-expiry", "--expires-in", "6s")
    wait_until(lambda: sends(stack, made) == 202, within_s=5, what="it counts")
    assert row_of(stack, made["key_id"])["state"] == "expires"
    wait_until(lambda: sends(stack, made) == 401, within_s=SECONDS, what="it expires")
    assert datetime.fromisoformat(made["expires_at"]) <= datetime.now(UTC)
    answer = Tenant(stack, "life-expiry", made["key"]).get_list()
    assert answer.status == 401
    assert made["expires_at"] in answer.body.decode()
    assert row_of(stack, made["key_id"])["state"] == "expired"
    rotated = stack.tally("keys", "rotate", made["key_id"])
    assert (rotated.returncode, rotated.stdout) == (1, "")
    assert "expired" in rotated.stderr


def test_a_rotation_leaves_no_gap(stack: Stack) -> None:
    """The new key is like the old one, both count during the overlap, then only the new one."""
    old = created(stack, "life-rotate", "--name", "n", "--scope", "ingest", "--events-per-s", "99")
    wait_until(lambda: sends(stack, old) == 202, within_s=SECONDS, what="the old one")
    rotated = stack.tally("keys", "rotate", old["key_id"], "--overlap", "5s", "--json")
    assert rotated.returncode == 0, rotated.stderr
    new = json.loads(rotated.stdout)
    assert old["key_id"] in rotated.stderr
    wait_until(lambda: sends(stack, new) == 202, within_s=4, what="the new one")
    wait_until(lambda: sends(stack, old) == 401, within_s=SECONDS, what="no old one")
    assert sends(stack, new) == 202
    old_row, new_row = row_of(stack, old["key_id"]), row_of(stack, new["key_id"])
    same = ("tenant", "name", "scopes", "events_per_s", "bytes_per_s")
    assert [old_row[name] for name in same] == [new_row[name] for name in same]
    assert (new_row["state"], new_row["expires_at"]) == ("good", None)
    assert old_row["state"] == "expired"


def test_a_keys_own_limit_holds(stack: Stack) -> None:
    """Over it is a 429 that says when; another key of the tenant goes on."""
    tight = created(stack, "life-limit", "--events-per-s", "5")
    free = created(stack, "life-limit")
    for made in (tight, free):
        wait_until(lambda made=made: reads(stack, made) == 200, within_s=SECONDS, what="known")
    view = Tenant(stack, "life-limit", tight["key"])
    wait_until(lambda: view.post("/v1/events", {}).status == 400, within_s=SECONDS, what="known")
    assert view.post("/v1/events/bulk", {"events": [EVENT] * 20}).status == 202
    refused = view.post("/v1/events", EVENT)
    assert refused.status == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 4
    assert refused.json["details"]["limit"] == "events_per_s"
    assert sends(stack, free) == 202
    assert reads(stack, tight) == 200


def test_the_list_shows_when_a_key_was_last_used(stack: Stack) -> None:
    """Never, and soon after a use its time; sending and reading are both uses."""
    unused, sender, reader = (created(stack, "life-used") for _ in range(3))
    wait_until(lambda: sends(stack, sender) == 202, within_s=SECONDS, what="a send")
    wait_until(lambda: reads(stack, reader) == 200, within_s=SECONDS, what="a read")

    def last_used() -> Sequence[str | None]:
        return [row_of(stack, made["key_id"])["last_used_at"] for made in (sender, reader)]

    wait_until(lambda: all(last_used()), within_s=30, what="both are told")
    for moment in last_used():
        assert moment is not None
        age = datetime.now(UTC) - datetime.fromisoformat(moment)
        assert timedelta(seconds=-1) <= age <= timedelta(seconds=60)
    assert row_of(stack, unused["key_id"])["last_used_at"] is None
    table = stack.tally("keys", "list", "--tenant", "life-used").stdout
    assert table.count("never") == 1
    assert str(last_used()[0])[:16] in table


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("create", "--tenant", "t", "--expires-in", "soon"), "--expires-in"),
        (("create", "--tenant", "t", "--scope", "admin"), "--scope"),
        (("rotate", "key_0000000000000000"), "key_0000000000000000"),
        (("rotate", "key_0000000000000000", "--overlap", "1"), "--overlap"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_wrong_option_is_named(stack: Stack, command: tuple[str, ...], said: str) -> None:
    """Exit 1, nothing on stdout, the option on stderr, and no key is made."""
    before = stack.tally("keys", "list", "--tenant", "t", "--json").stdout
    ran = stack.tally("keys", *command)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert stack.tally("keys", "list", "--tenant", "t", "--json").stdout == before
