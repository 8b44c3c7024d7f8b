"""A router, and one replica of each service behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.router import Replica, Router, running_router


@pytest.fixture
async def router(tmp_path: Path) -> AsyncIterator[Router]:
    async with running_router(tmp_path) as running:
        yield running


@pytest.fixture
async def gateway(router: Router) -> Replica:
    return await _started(router, "gateway")


@pytest.fixture
async def query(router: Router) -> Replica:
    return await _started(router, "query")


async def _started(router: Router, service: str) -> Replica:
    replica = router.replica(service)
    await replica.start()
    await router.scale(service, replica)
    return replica
