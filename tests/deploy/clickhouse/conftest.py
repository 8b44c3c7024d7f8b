"""One real engine for these tests; each test has a database of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from schemas.clickhouse import ClickHouseSettings
from tests.support.clickhouse import ClickHouse, clickhouse

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    with clickhouse(tmp_path_factory.mktemp("deployed")) as running:
        yield running


@pytest.fixture
def settings(server: ClickHouse) -> ClickHouseSettings:
    """A database that no other test uses, and that is not there yet."""
    return ClickHouseSettings(url=server.url, database=f"deployed_{next(_numbers)}")
