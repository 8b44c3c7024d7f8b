"""JSON Schema (2020-12) out of the structs that bodies are read into and written from. Pure."""

from __future__ import annotations

from inspect import cleandoc
from typing import Any, Final

import msgspec

Schema = dict[str, Any]

_REF: Final = "#/components/schemas/{name}"


def schema_of(kind: Any, schemas: dict[str, Schema]) -> Schema:
    """Give the schema of a type that msgspec reads; the structs in it are added to ``schemas``, by
    name, as the components of an OpenAPI document.

    Raises ValueError if another struct of the same name is there.
    """
    (schema,), components = msgspec.json.schema_components((kind,), ref_template=_REF)
    for name, component in components.items():
        tidied = _tidy(component)
        if schemas.setdefault(name, tidied) != tidied:
            raise ValueError(f"two structs are called {name}")
    tidied_schema: Schema = _tidy(schema)
    return tidied_schema


def _tidy(schema: Any) -> Any:
    """Write ``anyOf`` of one plain type and null as both types, and leave out what says nothing:
    titles that repeat a name, defaults of null. A docstring loses its indentation.
    """
    if isinstance(schema, list):
        return [_tidy(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    tidied = {name: _tidy(part) for name, part in schema.items()}
    if "$ref" not in tidied and isinstance(tidied.get("title"), str):
        del tidied["title"]
    if isinstance(tidied.get("description"), str):
        tidied["description"] = cleandoc(tidied["description"])
    if tidied.get("default", "") is None:
        del tidied["default"]
    options = tidied.get("anyOf", [])
    if len(options) == 2 and {"type": "null"} in options:
        other = next(option for option in options if option != {"type": "null"})
        if isinstance(other.get("type"), str) and "enum" not in other:
            del tidied["anyOf"]
            tidied = {**other, **tidied, "type": [other["type"], "null"]}
    return tidied


def amended(schema: Schema, amendment: Schema) -> Schema:
    """Give a struct's schema with more keywords, or others; properties are added one by one."""
    merged = schema | amendment
    merged["properties"] = schema["properties"] | amendment.get("properties", {})
    return merged


def as_text(schema: Schema) -> Schema:
    """Give the schema as a URL can write it: without null, with whole numbers in digits alone."""
    schema = dict(schema)
    if isinstance(schema.get("type"), list):
        (schema["type"],) = (name for name in schema["type"] if name != "null")
    if schema.pop("multipleOf", None) == 1:
        schema["type"] = "integer"
    if "enum" in schema:
        schema["enum"] = [value for value in schema["enum"] if value is not None]
    return schema
