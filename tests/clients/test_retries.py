"""What published clients do with our 429 and 503: which of them send again, when, and that the
event then counts once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import pytest
from flexprice import Flexprice
from flexprice.models.errors import FlexpriceError
from flexprice.utils import BackoffStrategy, RetryConfig

from tests.clients.front import RETRY_AFTER_S, Front, Step, serving
from tests.clients.published import Client, Refused
from tests.pipeline.client import Tenant, new_tenant, stamp
from tests.support.stack import Stack

# The first attempt's event is taken, though its sender does not hear of it, as when the log stalls;
# so is that of the third.
SCRIPT = (Step.UNKNOWN, Step.TOO_MANY)
EARLY_S = 0.02  # so much before its time a timer may fire
LATE_S = 3.0
AT = datetime.now(UTC) - timedelta(hours=1)
RETRIES = RetryConfig(
    "backoff",
    BackoffStrategy(initial_interval=1, max_interval=50, exponent=1.0, max_elapsed_time=20_000),
    retry_connection_errors=False,
)


class Local(NamedTuple):
    """In the place of a Client, for one that runs in this process."""

    url: str
    key: str


def flexprice_event(name: str, **more: Any) -> dict[str, Any]:
    return {
        "event_name": name,
        "external_customer_id": "acme",
        "timestamp": stamp(AT),
        "properties": {"a": "b"},
        **more,
    }


def in_camel_case(fields: dict[str, Any]) -> dict[str, Any]:
    names = {
        "event_id": "eventId",
        "event_name": "eventName",
        "external_customer_id": "externalCustomerId",
    }
    return {names.get(name, name): value for name, value in fields.items()}


def cloud_event(name: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": name,
        "source": "app",
        "type": name,
        "subject": "acme",
        "time": AT.isoformat(),
        "data": {"a": 1},
    }


def with_flexprice_2_1(to: Local, event: dict[str, Any], retries: bool, **options: Any) -> Any:
    with Flexprice(
        server_url=f"{to.url}/v1", api_key_auth=to.key, retry_config=RETRIES if retries else None
    ) as client:
        return client.events.ingest_event(**event, **options)


def with_flexprice_1_0(to: Client, event: dict[str, Any], retries: bool) -> Any:
    return to("events_post", event, options={"retries": retries})


def with_flexprice_sdk(to: Client, event: dict[str, Any], retries: bool, **options: Any) -> Any:
    return to("ingestEvent", in_camel_case(event), options={"retries": retries, **options})


def with_openmeter(to: Client, event: dict[str, Any], retries: bool, **options: Any) -> Any:
    sent = cloud_event(event["event_id"])
    return to("ingest_event", sent, options={"retries": retries, **options})


def with_openmeter_sdk(to: Client, event: dict[str, Any], retries: bool) -> Any:
    return to("ingest", cloud_event(event["event_id"]))


# How each sends an event, and the fixture that is its client; flexprice 2.1 runs in this process.
SENDERS: dict[str, tuple[str, Callable[..., Any]]] = {
    "flexprice 2.1": ("", with_flexprice_2_1),
    "flexprice 1.0.0": ("flexprice_old", with_flexprice_1_0),
    "@flexprice/sdk": ("flexprice_sdk", with_flexprice_sdk),
    "openmeter": ("openmeter", with_openmeter),
    "openmeter aio": ("openmeter", partial(with_openmeter, aio=True)),
    "@openmeter/sdk": ("openmeter_sdk", with_openmeter_sdk),
}
WHO_RETRIES = [name for name in SENDERS if name != "@openmeter/sdk"]


@pytest.fixture(scope="module")
def tenant(stack: Stack) -> Tenant:
    return new_tenant(stack, "retries")


async def send(
    request: pytest.FixtureRequest,
    name: str,
    front: Front,
    key: str,
    event: dict[str, Any],
    *,
    retries: bool,
    **options: Any,
) -> Any:
    """Send with a client that thinks that the front is the server. It blocks a thread, since the
    front answers from this one.
    """
    fixture, call = SENDERS[name]
    to: Any = Local(front.url, key)
    if fixture:
        to = request.getfixturevalue(fixture).at(front.url, key)
    return await asyncio.to_thread(partial(call, to, event, retries, **options))


def assert_waited(front: Front) -> None:
    assert len(front.arrivals) == len(SCRIPT) + 1
    for wait_s in front.waits_s:
        assert RETRY_AFTER_S - EARLY_S <= wait_s <= RETRY_AFTER_S + LATE_S, front.waits_s


def assert_once(tenant: Tenant, event_name: str, event_id: str) -> None:
    """Everything that was sent is stored, and of this name that is one event."""
    tenant.wait_for(event_id)
    tenant.stack.wait_until_stored()
    assert list(tenant.everything(event_name=event_name)) == [event_id]


@pytest.mark.parametrize("name", WHO_RETRIES)
async def test_a_retry_waits_as_told_and_the_event_counts_once(
    request: pytest.FixtureRequest, tenant: Tenant, name: str
) -> None:
    """After a 503 and after a 429 the client waits for Retry-After, and is answered in the end."""
    event = flexprice_event(name, event_id=name)
    async with serving(tenant.stack.url, SCRIPT) as front:
        await send(request, name, front, tenant.key, event, retries=True)
    assert_waited(front)
    assert_once(tenant, name, f'["app","{name}"]' if "openmeter" in name else name)


@pytest.mark.parametrize("step", [Step.NOT_STORED, Step.TOO_MANY])
@pytest.mark.parametrize("name", SENDERS)
async def test_without_retries_the_error_says_what_happened(
    request: pytest.FixtureRequest, tenant: Tenant, name: str, step: Step
) -> None:
    """A client that is not told to retry (openmeter: told not to) raises its error at once, and
    OpenMeter's JavaScript one, which never sends again, does so always.
    """
    event = flexprice_event("refused", event_id="refused")
    async with serving(tenant.stack.url, [step] * 9) as front:
        with pytest.raises((Refused, FlexpriceError)) as raised:
            await send(request, name, front, tenant.key, event, retries=False)
    error = raised.value
    status = error.status if isinstance(error, Refused) else error.status_code
    assert status == (503 if step is Step.NOT_STORED else 429)
    assert len(front.arrivals) == 1


@pytest.mark.parametrize("name", ["flexprice 2.1", "@flexprice/sdk"])
async def test_an_event_without_an_id_counts_once_under_an_idempotency_key(
    request: pytest.FixtureRequest, tenant: Tenant, name: str
) -> None:
    """The header goes with each attempt, so an answer that was lost makes no second event."""
    key = f"order-{len(name)}"
    options = {"http_headers" if name == "flexprice 2.1" else "headers": {"Idempotency-Key": key}}
    event = flexprice_event(f"made by {name}")
    async with serving(tenant.stack.url, SCRIPT) as front:
        answer = await send(request, name, front, tenant.key, event, retries=True, **options)
    assert front.keys == [key] * (len(SCRIPT) + 1)
    assert_waited(front)
    assert_once(tenant, event["event_name"], answer["event_id"])


async def test_flexprice_2_1_honours_it_in_its_async_half(tenant: Tenant) -> None:
    """Its async methods wait in the same way, for a bulk too."""
    async with (
        serving(tenant.stack.url, SCRIPT) as front,
        Flexprice(
            server_url=f"{front.url}/v1", api_key_auth=tenant.key, retry_config=RETRIES
        ) as client,
    ):
        sent: Awaitable[Any] = client.events.ingest_events_bulk_async(
            events=[flexprice_event("async", event_id="async")]
        )
        assert await sent == {"message": "Events accepted for processing"}
    assert_waited(front)
    assert_once(tenant, "async", "async")
