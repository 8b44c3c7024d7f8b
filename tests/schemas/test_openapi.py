"""OpenAPI documents out of operations and structs."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from schemas.dialects import CLOUDEVENTS, FLEXPRICE, SEQUENCE
from schemas.errors import CODES, REFUSALS
from schemas.flexprice import EventsQuery
from schemas.openapi import Answer, Content, Operation, document, parameters_of

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What is sent.

    And more of it.
    """

    name: Annotated[str, msgspec.Meta(max_length=7, description="Its name.")]
    count: int | None = None


def operation(**more: Any) -> Operation:
    fields: dict[str, Any] = {
        "method": "post",
        "path": "/things",
        "operation_id": "make",
        "summary": "Make a thing",
        "tag": "Things",
        "answers": [Answer(201, "Made.")],
        "body": {"application/json": Content(Body)},
    }
    return Operation(**{**fields, **more})


def test_a_limit_of_a_struct_is_one_of_the_document() -> None:
    """Nothing is copied by hand: names, types, limits and texts are the struct's."""
    written = document("T", "", [operation()])
    content = written["paths"]["/things"]["post"]["requestBody"]["content"]
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/Body"}
    assert written["components"]["schemas"]["Body"] == {
        "description": "What is sent.\n\nAnd more of it.",
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 7, "description": "Its name."},
            "count": {"type": ["integer", "null"]},
        },
        "required": ["name"],
        "additionalProperties": False,
    }


def test_what_is_checked_after_decoding_can_be_added() -> None:
    """An amendment adds keywords to a struct's schema and keeps the others."""
    amendment = {"required": ["name", "count"], "properties": {"count": {"minimum": 1}}}
    body = document("T", "", [operation()], {"Body": amendment})["components"]["schemas"]["Body"]
    assert body["required"] == ["name", "count"]
    assert body["properties"]["count"] == {"minimum": 1}
    assert body["properties"]["name"]["maxLength"] == 7


@pytest.mark.parametrize("dialect", [FLEXPRICE, SEQUENCE, CLOUDEVENTS], ids=lambda one: one.name)
def test_a_refusal_has_the_shape_of_its_dialect(dialect: Any) -> None:
    """Its content type, its error, the one code of the status, and the headers it comes with."""
    written = document("T", "", [operation(refusals=[429], dialect=dialect)])
    answers = written["paths"]["/things"]["post"]["responses"]
    assert set(answers) == {"201", "401", "403", "429", "500", "503"}
    name = answers["429"]["$ref"].rpartition("/")[2]
    refusal = written["components"]["responses"][name]
    assert set(refusal["headers"]) == {"X-Request-ID", "Retry-After"}
    error, code = refusal["content"][dialect.content_type]["schema"]["allOf"]
    assert error == {"$ref": f"#/components/schemas/{dialect.error_type.__name__}"}
    assert code == {"properties": {"code": {"const": "too_many_requests"}}}
    schema = written["components"]["schemas"][dialect.error_type.__name__]
    assert schema["properties"]["code"]["enum"] == list(CODES)


def test_a_url_writes_neither_null_nor_fractions() -> None:
    """A struct's fields as parameters: none may be null, and 2.0 is no integer in a URL."""
    parameters = {parameter.name: parameter for parameter in parameters_of(EventsQuery)}
    assert set(parameters) == set(EventsQuery.__struct_fields__)
    assert parameters["page_size"].schema == {"type": "integer", "minimum": 1}
    assert parameters["sort"].schema == {"type": "string", "enum": ["timestamp", "event_name"]}
    assert parameters["start_time"].schema == {"type": "string", "format": "date-time"}
    assert not any(parameter.required for parameter in parameters.values())


def test_what_needs_no_key_says_so() -> None:
    """It has no security, no key's headers, and is not refused for want of a key."""
    written = document("T", "", [operation(needs_key=False)])["paths"]["/things"]["post"]
    assert written["security"] == []
    assert "parameters" not in written
    assert set(written["responses"]) == {"201"}


def test_a_call_is_listed_once() -> None:
    """Two operations of one method and path, or two structs of one name, are a mistake."""
    with pytest.raises(ValueError, match="listed twice"):
        document("T", "", [operation(), operation(operation_id="again")])
    other = msgspec.defstruct("Body", [("other", int)])
    with pytest.raises(ValueError, match="two structs are called Body"):
        document("T", "", [operation(), operation(path="/x", body={"a/b": Content(other)})])


def refusals_in_the_source() -> set[tuple[str, int, str]]:
    """Where an ApiError is made of a status and a code that stand there, and which."""
    found = set()
    for package in ("schemas", "ingest_gateway", "query_api", "deploy"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                    continue
                if node.func.id != "ApiError" or len(node.args) < 2:
                    continue
                status, code = node.args[:2]
                if isinstance(status, ast.Constant) and isinstance(code, ast.Constant):
                    found.add((str(path.relative_to(ROOT)), status.value, code.value))
    return found


def test_every_code_of_the_source_is_documented() -> None:
    """What is refused is refused under the one code that documents give its status."""
    found = refusals_in_the_source()
    assert len(found) > 8
    assert {
        (path, status, code)
        for path, status, code in found
        if status not in REFUSALS or REFUSALS[status].code != code
    } == set()
