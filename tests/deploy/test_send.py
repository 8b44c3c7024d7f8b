"""`tally send`, the real command against a real server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.send import SendOptions, event_of
from tests.deploy.load.gateway import Gateway, Tally, busy, running_gateway


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with running_gateway() as gateway:
        yield gateway


@pytest.fixture
def tally(tmp_path: Path, gateway: Gateway) -> Tally:
    return Tally(tmp_path, gateway)


async def test_an_event_is_sent_whole(gateway: Gateway, tally: Tally) -> None:
    """Every flag arrives in its field; stdout is the ID alone."""
    ran = await tally.run(
        *("send", "--name", "api.call", "--customer", "acme", "--id", "a", "--source", "cli"),
        *("--customer-id", "cust_1", "--timestamp", "2024-03-20T15:04:05Z"),
        *("--properties", '{"a": 1, "b": {"c": null}}', "--property", "a=text", "--property"),
        'zip="012"',
    )

    assert ran == (0, "a\n", "")
    assert gateway.accepted == [
        {
            "event_name": "api.call",
            "external_customer_id": "acme",
            "event_id": "a",
            "customer_id": "cust_1",
            "source": "cli",
            "timestamp": "2024-03-20T15:04:05Z",
            "properties": {"a": "text", "b": {"c": None}, "zip": "012"},
        }
    ]


async def test_an_event_without_an_id_gets_one(gateway: Gateway, tally: Tally) -> None:
    """The ID that is printed is the one that was sent."""
    ran = await tally.run("send", "--event-name", "n", "--customer", "c")
    assert ran == (0, f"{gateway.ids[0]}\n", "")


async def test_the_server_s_refusal_is_told(gateway: Gateway, tally: Tally) -> None:
    """The message says what the server said of which field, and the exit status is 1."""
    ran = await tally.run("send", "--event-name", "n", "--customer", "")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("tally send: the server answered 400: ")
    assert "external_customer_id" in ran.err


async def test_a_failure_says_how_to_send_again(gateway: Gateway, tally: Tally) -> None:
    """When it may have been taken, the same ID makes a repetition harmless."""
    gateway.faults.append(busy(503, "1"))
    command = ("send", "--event-name", "n", "--customer", "c")

    ran = await tally.run(*command)
    assert ran.status == 1
    assert "the server answered 503: come again; send it again with --id '" in ran.err

    ran = await tally.run(*command, "--id", "x", "--url", "http://127.0.0.1:1")
    assert ran.status == 1
    assert "no answer from http://127.0.0.1:1: " in ran.err
    assert "--id 'x'" in ran.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--property", "x"), "--property 'x': use key=value"),
        (("--property", "=x"), "--property '=x': use key=value"),
        (("--properties", "[1]"), "--properties is no JSON object"),
    ],
)
async def test_bad_flags_are_named(
    gateway: Gateway, tally: Tally, args: tuple[str, ...], said: str
) -> None:
    """A flag that can't be right is a usage error."""
    ran = await tally.run("send", "--event-name", "n", "--customer", "c", *args)
    assert ran.status == 2
    assert said in ran.err
    assert gateway.accepted == []


@pytest.mark.unit
@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("12345678901234567890.10", b"12345678901234567890.10"),
        ("true", b"true"),
        ("null", b"null"),
        ('"12"', b'"12"'),
        ('{"a": 1}', b'{"a": 1}'),
        ("plain text", b'"plain text"'),
        ("NaN", b'"NaN"'),
        ("007", b'"007"'),
        ("a=b", b'"a=b"'),
        ("", b'""'),
    ],
)
def test_a_property_is_json_or_text(value: str, sent: bytes) -> None:
    """JSON goes as it was typed, digit by digit; anything else is a text."""
    event = event_of(SendOptions("n", "c", property=[f"key={value}"]))
    properties = event["properties"]
    assert isinstance(properties, dict)
    assert bytes(properties["key"]) == sent


@pytest.mark.unit
def test_events_without_ids_differ() -> None:
    """Two runs of the same command are two events."""
    events = [json.dumps(event_of(SendOptions("n", "c"))) for _ in range(2)]
    assert events[0] != events[1]
