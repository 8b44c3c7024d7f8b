"""A moment, a place and a GET that the tests of FlexPrice's lists share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from query_api.flexprice import read_get
from query_api.request import ListRequest, Position

NOW = datetime(2024, 3, 20, 12, 0, 0, 5, UTC)
WEEK = timedelta(days=7)
THEN = NOW - timedelta(days=1)
PLACE = Position("", THEN, "id-1")


def get(*parameters: tuple[str, str]) -> ListRequest:
    return read_get(parameters, "acme", NOW, WEEK)
