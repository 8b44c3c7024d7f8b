"""Drives flexprice 1.0.0, whose calls for events are the methods of its EventsApi."""

from __future__ import annotations

from typing import Any

from driver import drive
from flexprice import ApiClient, ApiException, Configuration, EventsApi
from urllib3 import Retry


def make(asked: dict[str, Any]) -> Any:
    configuration = Configuration(host=asked["url"] + "/v1", api_key={"ApiKeyAuth": asked["key"]})
    if asked["options"].get("retries"):
        # As its users would: urllib3's own, for a POST too.
        configuration.retries = Retry(
            total=5, allowed_methods=None, status_forcelist=(429, 503), backoff_factor=0
        )
    with ApiClient(configuration) as client:
        answer = getattr(EventsApi(client), asked["call"])(*asked["arguments"], **asked["named"])
    return answer.to_dict() if hasattr(answer, "to_dict") else answer


def tell(error: Exception) -> dict[str, Any]:
    if not isinstance(error, ApiException):
        return {}
    return {
        "status": error.status,
        "data": error.data.to_dict() if error.data is not None else None,
    }


drive(make, tell)
