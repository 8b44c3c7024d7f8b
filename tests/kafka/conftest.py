"""What the tests of the three services share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.clickhouse import ClickHouse, clickhouse


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """One ClickHouse for all: each test is a tenant of its own."""
    with clickhouse(tmp_path_factory.mktemp("engine") / "data") as server:
        yield server
