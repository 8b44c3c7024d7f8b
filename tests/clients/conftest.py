"""The stack, and the clients in their processes: each installed once, for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.published import Client, node_client, npm_install, python_client

FLEXPRICE_OLD = "flexprice==1.0.0"
OPENMETER = "openmeter==1.0.0b236"
NPM_PACKAGES = ("@flexprice/sdk@2.0.1", "@openmeter/sdk@1.0.0-beta.232")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Use the stack of the other tests of the whole; what is asked here is the same on Kafka."""
    if "stack" in metafunc.fixturenames:
        metafunc.parametrize("stack", ["embedded"], indirect=True, scope="session")


@pytest.fixture(scope="session")
def flexprice_old() -> Iterator[Client]:
    with python_client(FLEXPRICE_OLD, "flexprice_1_0.py") as client:
        yield client


@pytest.fixture(scope="session")
def openmeter() -> Iterator[Client]:
    with python_client(OPENMETER, "openmeter_python.py") as client:
        yield client


@pytest.fixture(scope="session")
def npm_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return npm_install(tmp_path_factory.mktemp("npm"), NPM_PACKAGES)


@pytest.fixture(scope="session")
def flexprice_sdk(npm_packages: Path) -> Iterator[Client]:
    with node_client(npm_packages, "flexprice_sdk.mjs") as client:
        yield client


@pytest.fixture(scope="session")
def openmeter_sdk(npm_packages: Path) -> Iterator[Client]:
    with node_client(npm_packages, "openmeter_sdk.mjs") as client:
        yield client
