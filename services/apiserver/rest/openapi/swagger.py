"""OpenAPI 2.0 out of the 3.0 documents: one for all group versions, which older clients ask for.

What 2.0 cannot say (alternatives, defaults beside references) is left out, as Kubernetes does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_REFERENCE, _DEFINITION = "#/components/schemas/", "#/definitions/"
_KEPT = (
    "description", "type", "format", "title", "enum", "required", "pattern", "minimum", "maximum", "minLength",
    "maxLength", "minItems", "maxItems",
)  # fmt: skip
_PARAMETER = ("type", "format", "uniqueItems", "enum")
_GVK = "x-kubernetes-group-version-kind"


def document(found: Iterable[Mapping[str, Any]], *, version: str) -> dict[str, Any]:
    """All 3.0 documents as one of 2.0. Of two schemas with one name the first counts, and is of both's kinds."""
    paths: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for one in found:
        for path, item in one.get("paths", {}).items():
            paths.setdefault(path, _item(item))
        for name, schema in one.get("components", {}).get("schemas", {}).items():
            _define(definitions, name, schema)
    token = {"type": "apiKey", "name": "authorization", "in": "header", "description": "Bearer TOKEN"}
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": version},
        "paths": dict(sorted(paths.items())),
        "definitions": dict(sorted(definitions.items())),
        "securityDefinitions": {"BearerToken": token},
        "security": [{"BearerToken": []}],
    }


def _define(definitions: dict[str, Any], name: str, schema: Mapping[str, Any]) -> None:
    known = definitions.get(name)
    if known is None:
        definitions[name] = schema_of(schema)
    elif _GVK in schema:
        kinds = known.setdefault(_GVK, [])
        known[_GVK] = kinds + [one for one in schema[_GVK] if one not in kinds]


def schema_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A 3.0 schema as 2.0 has it."""
    found: dict[str, Any] = {name: schema[name] for name in _KEPT if name in schema}
    found |= {name: value for name, value in schema.items() if name.startswith("x-kubernetes-")}
    if isinstance(found.get(_GVK), list):
        found[_GVK] = list(found[_GVK])
    inner = schema.get("allOf", ())
    reference = schema.get("$ref") or (inner[0].get("$ref") if len(inner) == 1 else None)
    if reference:
        found["$ref"] = reference.replace(_REFERENCE, _DEFINITION)
    elif "oneOf" in schema and "type" not in schema:
        found["type"] = "string"
    if "properties" in schema:
        found["properties"] = {name: schema_of(value) for name, value in schema["properties"].items()}
    if "items" in schema:
        found["items"] = schema_of(schema["items"])
    values = schema.get("additionalProperties")
    if values is not None:
        found["additionalProperties"] = values if isinstance(values, bool) else schema_of(values)
    return found


def _item(item: Mapping[str, Any]) -> dict[str, Any]:
    found = {method: _operation(one) for method, one in item.items() if isinstance(one, Mapping)}
    return found | ({"parameters": [_parameter(one) for one in item["parameters"]]} if "parameters" in item else {})


def _operation(one: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: one[name] for name in ("tags", "description", "operationId", "deprecated") if name in one}
    found |= {name: value for name, value in one.items() if name.startswith("x-kubernetes-")}
    taken = [_parameter(parameter) for parameter in one.get("parameters", ())]
    body = one.get("requestBody")
    if body is not None:
        media, inside = list(body["content"]), next(iter(body["content"].values()))
        found["consumes"] = media
        required = {"required": True} if body.get("required") else {}
        taken.append({"name": "body", "in": "body", "schema": schema_of(inside.get("schema", {})), **required})
    if taken:
        found["parameters"] = taken
    found["responses"] = {code: _response(answer) for code, answer in one.get("responses", {}).items()}
    contents = [answer["content"] for answer in one.get("responses", {}).values() if "content" in answer]
    return found | ({"produces": list(contents[0])} if contents else {})


def _response(answer: Mapping[str, Any]) -> dict[str, Any]:
    found = {"description": answer.get("description", "")}
    inside: Mapping[str, Any] = next(iter(answer.get("content", {}).values()), {})
    return found | ({"schema": schema_of(inside["schema"])} if "schema" in inside else {})


def _parameter(one: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: one[name] for name in ("name", "in", "description", "required") if name in one}
    return found | {name: value for name, value in one.get("schema", {}).items() if name in _PARAMETER}
