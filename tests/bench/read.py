"""Sending one event and waiting until it can be read."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request

from tests.support.stack import Stack

_LOOK_AGAIN_S = 0.01
_GIVE_UP_S = 30.0


def post_event(url: str, headers: dict[str, str], event: dict[str, object]) -> int:
    """Send one event; give the status."""
    request = urllib.request.Request(f"{url}/v1/events", json.dumps(event).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return int(answer.status)


def seconds_until_readable(stack: Stack, event_id: str) -> float:
    """Send an event and look it up until it is there; give the seconds since its 202."""
    event: dict[str, object] = {
        "event_id": event_id,
        "event_name": "fresh",
        "external_customer_id": "bench",
    }
    assert post_event(stack.url, stack.headers, event) == 202
    accepted_at = time.monotonic()
    request = urllib.request.Request(f"{stack.url}/v1/events/{event_id}", headers=stack.headers)
    while time.monotonic() < accepted_at + _GIVE_UP_S:
        try:
            with urllib.request.urlopen(request, timeout=30):
                return time.monotonic() - accepted_at
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
        time.sleep(_LOOK_AGAIN_S)
    raise AssertionError(f"{event_id} was not readable within {_GIVE_UP_S:g} s")
