"""The whole stack against its own OpenAPI document."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import jsonschema_rs

from tests.support.stack import Stack

ROOT = Path(__file__).parents[2]
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# `make schemathesis` runs for five minutes.
RUN_S = int(os.environ.get("TALLY_TEST_SCHEMATHESIS_S", "35"))
TENANT = "openapi"


def document_at(stack: Stack, path: str) -> dict[str, Any]:
    with urlopen(f"{stack.url}{path}") as response:
        document: dict[str, Any] = json.load(response)
    return document


def operations(document: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{method} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_one_port_has_one_document(stack: Stack) -> None:
    """That of both services, and of what they share; each call under a name of its own."""
    merged = operations(document_at(stack, "/openapi.json"))
    each = [operations(document_at(stack, f"/{name}/openapi.json")) for name in ("ingest", "query")]
    assert {**each[0], **each[1]}.items() <= merged.items()
    rest = set(merged) - set(each[0]) - set(each[1])
    assert rest == {"get /livez", "get /readyz", "get /openapi.json"}
    ids = [operation["operationId"] for operation in merged.values()]
    assert len(ids) == len(set(ids))


def test_examples_are_what_their_schemas_say(stack: Stack) -> None:
    """Each of them, so that what is copied from the page is accepted."""
    document = document_at(stack, "/openapi.json")
    checked = 0
    for name, operation in operations(document).items():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            schema = {**content["schema"], "components": document["components"]}
            for example in content.get("examples", {}).values():
                errors = jsonschema_rs.Draft202012Validator(schema).iter_errors(example["value"])
                assert [error.message for error in errors] == [], name
                checked += 1
    assert checked > 8


def test_schemathesis_finds_nothing(stack: Stack, tmp_path: Path) -> None:
    """Requests that the document allows are accepted, others refused, as the document says."""
    command = [
        *(SCHEMATHESIS, "run", f"{stack.url}/openapi.json"),
        *("--checks", "all", "--max-time", str(RUN_S), "--generation-database", "none"),
        *("--header", f"x-api-key: {stack.new_key(TENANT)}"),
        *("--report", "json", "--report-json-path", tmp_path / "report.json"),
    ]
    run = subprocess.run(
        command,
        cwd=tmp_path,
        env={
            **os.environ,
            "NO_COLOR": "1",
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.openapi.hooks",
            "TALLY_TEST_TENANT": TENANT,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_S + 120,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    # It leaves out the document's own path.
    assert report["operations"]["total"] == len(operations(document_at(stack, "/openapi.json"))) - 1
    assert report["test_cases"]["generated"] > 100
