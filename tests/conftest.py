"""What every test may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.stack import Stack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One embedded stack for all tests that leave it as it was: each uses tenants of its own."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
