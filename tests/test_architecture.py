"""The rules of the map: who may import whom, who may read the environment, how long a file is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "ingest_gateway", "consumer", "query_api", "deploy")
MAY_IMPORT = {
    "schemas": {"schemas"},
    "ingest_gateway": {"ingest_gateway", "schemas"},
    "consumer": {"consumer", "schemas"},
    "query_api": {"query_api", "schemas"},
    "deploy": set(PACKAGES),
}
# Files that decide and do no I/O: they import the contract, their own pure neighbours, and
# nothing that opens anything.
PURE = (
    *(str(path.relative_to(ROOT)) for path in (ROOT / "schemas").glob("*.py")),
    "ingest_gateway/admission.py",
    "ingest_gateway/decoding.py",
    "ingest_gateway/events.py",
    "ingest_gateway/flexprice.py",
    "ingest_gateway/openapi.py",
    "ingest_gateway/rates.py",
    "ingest_gateway/sequence.py",
    "consumer/batch.py",
    "consumer/intake.py",
    "consumer/limits.py",
    "consumer/offsets.py",
    "consumer/resolve.py",
    "consumer/suspects.py",
    "query_api/cursor.py",
    "query_api/filters.py",
    "query_api/openapi.py",
    "query_api/parameters.py",
    "query_api/plan.py",
    "query_api/sequence.py",
    "query_api/sequence_cursor.py",
    "query_api/sequence_plan.py",
    "deploy/key_terms.py",
)
DOES_IO = {
    "aiohttp",
    "aiokafka",
    "clickhouse_connect",
    "chdb",
    "sqlite3",
    "socket",
    "asyncio",
    "os",
}
MAY_IMPORT_KAFKA = {"log.py", "source.py", "dead_letter.py", "keys_feed.py", "lag.py", "topics.py"}


FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imports(path: Path) -> set[str]:
    """Every module that a file imports, by its full name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a module lives"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_services_know_only_the_contract(path: Path) -> None:
    """A service imports itself and schemas; schemas imports nobody; deploy may import all."""
    package = path.relative_to(ROOT).parts[0]
    foreign = {name.split(".")[0] for name in imports(path)} & {*PACKAGES, "tests"}
    assert foreign <= MAY_IMPORT[package]


@pytest.mark.parametrize("name", PURE)
def test_pure_files_do_no_io(name: str) -> None:
    """What decides imports nothing that could wait, open or connect."""
    assert not {module.split(".")[0] for module in imports(ROOT / name)} & DOES_IO


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_clients_stay_behind_their_interface(path: Path) -> None:
    """Only stores import clickhouse_connect; only the log's own files import aiokafka."""
    roots = {module.split(".")[0] for module in imports(path)}
    if "clickhouse_connect" in roots:
        assert path.name == "store.py"
    if "aiokafka" in roots:
        assert path.name in MAY_IMPORT_KAFKA
    if "chdb" in roots:
        assert path.relative_to(ROOT).parts[:3] == ("deploy", "embedded", "clickhouse")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_entry_points_and_settings_read_the_environment(path: Path) -> None:
    """Nothing deep inside depends on a variable that nobody can see at the call."""
    if path.name in ("__main__.py", "settings.py", "command.py", "client.py"):
        return
    reads = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]
    assert not reads


@pytest.mark.parametrize(
    "path",
    [*FILES, *sorted((ROOT / "tests").rglob("*.py"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_file_is_over_300_lines(path: Path) -> None:
    """A file of more than 300 lines is two files."""
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("name", ["connections.py", "documents.py", "keys_feed.py", "process.py"])
def test_both_services_hold_the_same_file(name: str) -> None:
    """What gateway and query service can't share without knowing of each other stays the same."""
    one, other = (ROOT / service / name for service in ("ingest_gateway", "query_api"))
    assert one.read_bytes() == other.read_bytes()
