"""The server that the loader's tests load into, and the command that loads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.deploy.load.gateway import Gateway, Tally, running_gateway


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with running_gateway() as gateway:
        yield gateway


@pytest.fixture
def tally(tmp_path: Path, gateway: Gateway) -> Tally:
    return Tally(tmp_path, gateway)
