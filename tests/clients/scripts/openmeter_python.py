"""Drives openmeter: the methods of ``client.events``, or of its async half with ``aio: true``."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from corehttp.exceptions import HttpResponseError
from corehttp.runtime import policies
from driver import drive
from openmeter import Client
from openmeter.aio import Client as AsyncClient
from openmeter.models import Event


def as_event(fields: dict[str, Any]) -> Event:
    if isinstance(fields.get("time"), str):
        fields = {**fields, "time": datetime.fromisoformat(fields["time"])}
    return Event(**fields)


def make(asked: dict[str, Any]) -> Any:
    (sent,) = asked["arguments"]
    body = [as_event(fields) for fields in sent] if isinstance(sent, list) else as_event(sent)
    retries, options = asked["options"].get("retries", True), {}
    if asked["options"].get("aio"):
        if not retries:
            options["retry_policy"] = policies.AsyncRetryPolicy.no_retries()
        return asyncio.run(make_async(asked, body, options))
    if not retries:
        options["retry_policy"] = policies.RetryPolicy.no_retries()
    with Client(endpoint=asked["url"], token=asked["key"], **options) as client:
        return getattr(client.events, asked["call"])(body)


async def make_async(asked: dict[str, Any], body: Any, options: dict[str, Any]) -> Any:
    async with AsyncClient(endpoint=asked["url"], token=asked["key"], **options) as client:
        return await getattr(client.events, asked["call"])(body)


def tell(error: Exception) -> dict[str, Any]:
    if not isinstance(error, HttpResponseError):
        return {}
    model: Any = error.model
    data = None
    if model is not None:
        data = {**dict(model), "typed": [model.type, model.title, model.detail, model.instance]}
    return {"status": error.status_code, "data": data}


drive(make, tell)
