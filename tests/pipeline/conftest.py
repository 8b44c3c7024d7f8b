"""The whole pipeline is tested on both logs."""

from __future__ import annotations

import pytest

from tests.support.traffic import sized

LOGS = ("embedded", "kafka")
# What these ask is answered before anything reaches the log, or long after it: by code that is the
# same process on both. `make test-long` runs them on both all the same.
ON_ONE_LOG = (
    "test_bad_cursor",
    "test_bad_query",
    "test_openapi",
    "test_property_filters",
    "test_window",
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that uses the shared stack on one of each log."""
    if "stack" in metafunc.fixturenames:
        name = metafunc.module.__name__.rpartition(".")[2]
        logs = sized(short=LOGS[:1], full=LOGS) if name in ON_ONE_LOG else LOGS
        metafunc.parametrize("stack", logs, indirect=True, scope="session")


@pytest.fixture(scope="session", params=LOGS)
def log_address(request: pytest.FixtureRequest) -> str | None:
    """The log of a stack that a test runs for itself, as `running_stack` takes it."""
    if request.param == "embedded":
        return None
    address: str = request.getfixturevalue("kafka").bootstrap_servers
    return address
