"""What every test may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.kafka import Kafka, need_jars
from tests.support.kafka import kafka as running_kafka
from tests.support.stack import Stack, running_stack


@pytest.fixture(scope="session")
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """One stack for all tests that leave it as it was: each uses tenants of its own.

    On the embedded log, unless it is parametrized with "kafka".
    """
    log = getattr(request, "param", "embedded")
    address = None
    if log == "kafka":
        address = request.getfixturevalue("kafka").bootstrap_servers
    with running_stack(tmp_path_factory.mktemp(f"stack-{log}"), kafka=address) as running:
        yield running


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One Kafka for all tests that leave it as it was: each uses a topic prefix of its own."""
    with running_kafka(tmp_path_factory.mktemp("kafka") / "broker") as running:
        yield running


@pytest.fixture(scope="session")
def jars() -> None:
    """Skip, but not on CI, where there are no jars: for tests that start brokers their own way."""
    need_jars()
