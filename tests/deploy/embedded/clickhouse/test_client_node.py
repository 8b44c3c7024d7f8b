"""The official JavaScript client, unchanged, against the server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.clickhouse import EmbeddedClickHouse

PACKAGE = "@clickhouse/client@1.23"
SCRIPT = Path(__file__).with_name("client.mjs")


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the client installed."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        if os.environ.get("CI"):
            pytest.fail("node and npm are needed here")
        # `make test` promises to pass with Python and make alone; no package of Python's brings
        # node, and CI, where this fails instead, installs it.
        pytest.skip("needs node and npm")
    directory = tmp_path_factory.mktemp("npm")
    subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--prefix", str(directory), PACKAGE],
        check=True,
        capture_output=True,
        timeout=180,
    )
    return directory


def test_javascript_client_works(server: EmbeddedClickHouse, packages: Path) -> None:
    """Reads, streams, inserts, parameters, sessions and errors, plain and compressed."""
    done = subprocess.run(
        ["node", str(SCRIPT), server.url, str(packages)],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    count = 100_003
    expected = {
        "ping": True,
        "selectPing": True,
        "insertedRows": "2",
        "json": [
            {"a": 1, "b": "it's \\ \n ☃"},
            {"a": 2, "b": ""},
            {"a": 3, "b": "three"},
        ],
        "bound": [{"s": "tab\t'q' \\ \n", "l": ["a'b", "\\"], "t": "2024-02-29 23:59:59.123456"}],
        "streamed": [count, str(6 + sum(range(10, 100_010)))],
        "csv": '"a"\n',
        "error": ["60", "UNKNOWN_TABLE"],
        "broken": ["395", True],
        "badInsert": "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
        "session": [{"a": 7}],
        "settings": [{"s": "77"}],
        "exec": f"{count}\n",
    }
    found = json.loads(done.stdout)
    for answers in found.values():
        # Whether 64-bit integers are quoted is the engine's choice, not ours.
        for row in answers["json"]:
            row["a"] = int(row["a"])
        answers["settings"] = [{"s": str(row["s"])} for row in answers["settings"]]
    # Through gunzip, the broken connection may overtake the exception: an error either way.
    assert found["true"].pop("broken") != "complete"
    assert found["false"] == expected
    assert found["true"] == {name: expected[name] for name in expected if name != "broken"}
