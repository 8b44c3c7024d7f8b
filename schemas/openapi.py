"""OpenAPI 3.1 documents out of lists of operations and the structs that their bodies are.

Pure. A service lists its operations in its own ``openapi.py``; a limit stands in the struct alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

from schemas.dialects import FLEXPRICE, Dialect
from schemas.errors import REFUSALS
from schemas.json_schema import Schema, amended, as_text, schema_of
from schemas.keys import API_KEY_HEADER, ENVIRONMENT_HEADER
from schemas.request_id import MAX_REQUEST_ID_CHARS, REQUEST_ID

# What a body is described by: a struct or another type that msgspec reads, a schema as it is, or a
# tuple of several.
Shape = Any

_EVERYWHERE: Final = (
    "A method that a path does not have is a 405, whose `Allow` lists those that there are; an "
    "unknown path is a 404. They look like the other errors of the path's dialect, those of a path "
    "that belongs to none like FlexPrice's."
)
# Those of every call that needs a key.
_OF_EVERY_CALL: Final = (401, 403, 500, 503)


class Parameter(NamedTuple):
    """A parameter of the URL or a header."""

    name: str
    where: Literal["query", "header", "path"]
    description: str
    schema: Schema
    required: bool = False


class Content(NamedTuple):
    """A body of one media type."""

    shape: Shape
    examples: Mapping[str, Any] = {}


class Answer(NamedTuple):
    """What a call that went well answers. ``headers`` are names and what they tell."""

    status: int
    description: str
    content: Mapping[str, Content] = {}
    headers: Mapping[str, str] = {}


class Operation(NamedTuple):
    """A method of a path. ``refusals`` are statuses beside those that every call can have."""

    method: Literal["get", "post"]
    path: str
    operation_id: str
    summary: str
    tag: str
    answers: Sequence[Answer]
    description: str = ""
    parameters: Sequence[Parameter] = ()
    body: Mapping[str, Content] = {}
    body_description: str = ""
    refusals: Sequence[int] = ()
    dialect: Dialect = FLEXPRICE
    needs_key: bool = True


ENVIRONMENT: Final = Parameter(
    ENVIRONMENT_HEADER,
    "header",
    "The key's own tenant, if it is sent at all; another is a 403.",
    {"type": "string"},
)
OWN_REQUEST_ID: Final = Parameter(
    REQUEST_ID,
    "header",
    f"A name of your own for this request, 1 to {MAX_REQUEST_ID_CHARS} printable ASCII characters; "
    "it comes back in the answer and stands in the logs. Without one it is made.",
    {"type": "string"},
)


def parameters_of(
    struct: type[msgspec.Struct], in_a_url: Mapping[str, Schema] | None = None
) -> list[Parameter]:
    """Give a struct's fields as parameters of a URL. ``in_a_url`` are the schemas of those that a
    URL writes in another way than JSON.
    """
    schemas: dict[str, Schema] = {}
    schema_of(struct, schemas)
    own = schemas[struct.__name__]
    parameters = []
    for name, schema in own["properties"].items():
        schema = as_text((in_a_url or {}).get(name, schema))
        description = schema.pop("description", "")
        parameters.append(Parameter(name, "query", description, schema, name in own["required"]))
    return parameters


def document(
    title: str,
    description: str,
    operations: Iterable[Operation],
    amendments: Mapping[str, Schema] | None = None,
) -> Schema:
    """Give the OpenAPI 3.1 document of some operations, each of which has its own ID.

    ``amendments`` are keywords to be added to the schemas of structs, by name: what is checked
    after they are decoded.
    """
    schemas: dict[str, Schema] = {}
    responses: dict[str, Schema] = {}
    paths: dict[str, dict[str, Schema]] = {}
    tags: dict[str, None] = {}
    for operation in operations:
        of_path = paths.setdefault(operation.path, {})
        if operation.method in of_path:
            raise ValueError(f"{operation.method} {operation.path} is listed twice")
        of_path[operation.method] = _operation(operation, schemas, responses)
        tags[operation.tag] = None
    for name, amendment in (amendments or {}).items():
        schemas[name] = amended(schemas[name], amendment)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": "1",
            "description": f"{description.rstrip()}\n\n{_EVERYWHERE}",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in tags],
        "security": [{"apiKey": []}, {"bearer": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "apiKey": {"type": "apiKey", "in": "header", "name": API_KEY_HEADER},
                "bearer": {"type": "http", "scheme": "bearer", "description": "The API key."},
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The key's ID and its secret.",
                },
            },
            "responses": dict(sorted(responses.items())),
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _operation(
    operation: Operation, schemas: dict[str, Schema], responses: dict[str, Schema]
) -> Schema:
    written: Schema = {
        "operationId": operation.operation_id,
        "summary": operation.summary,
        "tags": [operation.tag],
    }
    if operation.description:
        written["description"] = operation.description
    if not operation.needs_key:
        written["security"] = []
    common = (ENVIRONMENT, OWN_REQUEST_ID) if operation.needs_key else ()
    if parameters := [*operation.parameters, *common]:
        written["parameters"] = [_parameter(parameter) for parameter in parameters]
    if operation.body:
        written["requestBody"] = {
            "required": True,
            "description": operation.body_description,
            "content": _content(operation.body, schemas),
        }
    answers = {str(answer.status): _answer(answer, schemas) for answer in operation.answers}
    statuses = {*operation.refusals, *(_OF_EVERY_CALL if operation.needs_key else ())}
    for status in sorted(statuses):
        if str(status) in answers:
            raise ValueError(f"{operation.operation_id} answers {status} in two ways")
        name = f"{operation.dialect.name}-{status}"
        if name not in responses:
            responses[name] = _refusal(status, operation.dialect, schemas)
        answers[str(status)] = {"$ref": f"#/components/responses/{name}"}
    written["responses"] = answers
    return written


def _parameter(parameter: Parameter) -> Schema:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.description,
        "required": parameter.required,
        "schema": parameter.schema,
    }


def _answer(answer: Answer, schemas: dict[str, Schema]) -> Schema:
    written: Schema = {
        "description": answer.description,
        "headers": {name: _header(text) for name, text in answer.headers.items()},
    }
    if answer.content:
        written["content"] = _content(answer.content, schemas)
    return written


def _refusal(status: int, dialect: Dialect, schemas: dict[str, Schema]) -> Schema:
    refusal = REFUSALS[status]
    headers = {REQUEST_ID: _header("The request's ID, which the logs have too.")}
    if status in (429, 503):
        headers["Retry-After"] = _header(
            "In how many seconds to send it again.", {"type": "integer", "minimum": 1}
        )
    if status == 401:
        headers["WWW-Authenticate"] = _header("How to authenticate.")
    shape = _shape(dialect.error_type, schemas)
    with_code = {"allOf": [shape, {"properties": {"code": {"const": refusal.code}}}]}
    return {
        "description": f"`{refusal.code}`: {refusal.meaning}",
        "headers": headers,
        "content": {dialect.content_type: {"schema": with_code}},
    }


def _header(description: str, schema: Schema | None = None) -> Schema:
    return {
        "description": description,
        "required": True,
        "schema": schema or {"type": "string"},
    }


def _content(content: Mapping[str, Content], schemas: dict[str, Schema]) -> Schema:
    written: Schema = {}
    for media_type, (shape, examples) in content.items():
        written[media_type] = {"schema": _shape(shape, schemas)}
        if examples:
            written[media_type]["examples"] = {
                name: {"value": value} for name, value in examples.items()
            }
    return written


def _shape(shape: Shape, schemas: dict[str, Schema]) -> Schema:
    if isinstance(shape, dict):
        return shape
    if isinstance(shape, tuple):
        return {"anyOf": [_shape(one, schemas) for one in shape]}
    return schema_of(shape, schemas)
