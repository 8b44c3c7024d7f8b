"""`tally send`: one event, from flags."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp
import msgspec

from deploy.client import Connection, find_connection, why_no_answer
from deploy.load.answers import read_error
from schemas.event import new_event_id
from schemas.keys import API_KEY_HEADER

_PATH: Final = "/v1/events"
_TIMEOUT_S: Final = 30.0
_ACCEPTED: Final = 202
_SERVER_ERROR: Final = 500


@dataclass(frozen=True)
class SendOptions:
    """The flags of the command, as they were given."""

    event_name: str
    customer: str
    event_id: str | None = None
    customer_id: str | None = None
    source: str | None = None
    timestamp: str | None = None
    property: Sequence[str] = ()
    properties: str | None = None
    url: str | None = None
    key: str | None = None


class NotSent(Exception):  # noqa: N818 (the name tells what it is)
    """The server did not accept the event, or nobody knows. The text is for the user."""


class _Answer(msgspec.Struct):
    event_id: str


def send(options: SendOptions) -> int:
    """Send an event and print its ID. Gives the exit status: 0, 1 if not sent, 2 for bad flags."""
    try:
        event = event_of(options)
        body = msgspec.json.encode(event)
        connection = find_connection(options.url, options.key)
    except ValueError as error:
        sys.stderr.write(f"tally send: {error}\n")
        return 2
    try:
        event_id = asyncio.run(_post(connection, body, str(event["event_id"])))
    except NotSent as error:
        sys.stderr.write(f"tally send: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    sys.stdout.write(f"{event_id}\n")
    return 0


def event_of(options: SendOptions) -> dict[str, object]:
    """Build the request's body. An event without an ID gets one here, so that it can be sent
    again when the answer is lost. Raises ValueError, naming the flag.
    """
    optional = {
        "customer_id": options.customer_id,
        "source": options.source,
        "timestamp": options.timestamp,
    }
    event: dict[str, object] = {
        "event_id": options.event_id or new_event_id(),
        "event_name": options.event_name,
        "external_customer_id": options.customer,
        **{name: value for name, value in optional.items() if value is not None},
    }
    properties: dict[str, msgspec.Raw] = {}
    if options.properties is not None:
        try:
            properties = msgspec.json.decode(options.properties, type=dict[str, msgspec.Raw])
        except msgspec.DecodeError as error:
            raise ValueError(f"--properties is no JSON object: {error}") from None
    for text in options.property:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ValueError(f"--property {text!r}: use key=value")
        properties[name] = _json_or_text(value)
    if properties:
        event["properties"] = properties
    return event


def _json_or_text(value: str) -> msgspec.Raw:
    """Keep JSON as it was typed, down to a number's digits; anything else is a text."""
    try:
        return msgspec.json.decode(value, type=msgspec.Raw)
    except msgspec.DecodeError:
        return msgspec.Raw(msgspec.json.encode(value))


async def _post(connection: Connection, body: bytes, event_id: str) -> str:
    again = f"send it again with --id '{event_id}', so that it can't count twice"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session,
            session.post(
                connection.url + _PATH,
                data=body,
                headers={
                    API_KEY_HEADER: connection.api_key,
                    "Content-Type": "application/json",
                },
                allow_redirects=False,
            ) as response,
        ):
            answer = await response.read()
    except TimeoutError:
        raise NotSent(f"no answer from {connection.url} in {_TIMEOUT_S:.0f} s; {again}") from None
    except (aiohttp.ClientError, OSError) as error:
        text = why_no_answer(error)
        raise NotSent(f"no answer from {connection.url}: {text}; {again}") from None
    if response.status == _ACCEPTED:
        try:
            return msgspec.json.decode(answer, type=_Answer).event_id
        except msgspec.DecodeError:
            raise NotSent(f"{connection.url} is no Tally gateway: a 202 without an ID") from None
    refusal = read_error(answer)
    field = refusal.details.field if refusal.details else None
    named = f"{field}: " if field and field not in refusal.message else ""
    advice = f"; {again}" if response.status >= _SERVER_ERROR else ""
    raise NotSent(
        f"the server answered {response.status}: {named}{refusal.message or 'no message'}{advice}"
    )
