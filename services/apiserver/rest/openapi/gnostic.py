"""OpenAPI 2.0 as protobuf: a document of JSON shape → the messages of raftsman.openapi.v2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from raftsman.openapi import v2 as openapi

MEDIA = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
_TEXTS = ("format", "title", "description", "pattern")
_NUMBERS = {
    "maximum": "maximum", "minimum": "minimum", "maxLength": "max_length", "minLength": "min_length",
    "maxItems": "max_items", "minItems": "min_items",
}  # fmt: skip


def serialised(tree: Mapping[str, Any]) -> bytes:
    """A 2.0 document in its protobuf form."""
    made = openapi.Document(swagger=tree["swagger"])
    made.info.title, made.info.version = tree["info"]["title"], tree["info"]["version"]
    for path, item in tree["paths"].items():
        named = made.paths.path.add(name=path)
        for method in _METHODS:
            if method in item:
                _operation(getattr(named.value, method), item[method])
        _parameters(named.value.parameters, item)
    for name, schema in tree["definitions"].items():
        _schema(made.definitions.additional_properties.add(name=name).value, schema)
    for name, way in tree["securityDefinitions"].items():
        added = made.security_definitions.additional_properties.add(name=name)
        for key, value in way.items():
            setattr(added.value.api_key_security, key, value)
    for requirement in tree["security"]:
        needed = made.security.add()
        for name, rights in requirement.items():
            needed.additional_properties.add(name=name).value.value.extend(rights)
    return made.SerializeToString()


def _operation(made: openapi.Operation, tree: Mapping[str, Any]) -> None:
    made.SetInParent()
    made.tags.extend(tree.get("tags", ()))
    made.description, made.operation_id = tree.get("description", ""), tree.get("operationId", "")
    made.produces.extend(tree.get("produces", ()))
    made.consumes.extend(tree.get("consumes", ()))
    _parameters(made.parameters, tree)
    for code, answer in tree.get("responses", {}).items():
        response = made.responses.response_code.add(name=code).value.response
        response.description = answer["description"]
        if "schema" in answer:
            _schema(response.schema.schema, answer["schema"])
    _extensions(made.vendor_extension, tree)


def _parameters(into: Any, tree: Mapping[str, Any]) -> None:
    for one in tree.get("parameters", ()):
        parameter = into.add().parameter
        if one["in"] == "body":
            body = parameter.body_parameter
            setattr(body, "in", "body")
            body.name, body.required = one["name"], one.get("required", False)
            _schema(body.schema, one["schema"])
            continue
        beside = parameter.non_body_parameter
        found = beside.path_parameter_sub_schema if one["in"] == "path" else beside.query_parameter_sub_schema
        for key in ("in", "name", "description", "type", "format", "required", "uniqueItems"):
            if key in one:
                setattr(found, "unique_items" if key == "uniqueItems" else key, one[key])


def _schema(made: openapi.Schema, tree: Mapping[str, Any]) -> None:
    made.SetInParent()
    made.ref = tree.get("$ref", "")
    for name in _TEXTS:
        setattr(made, name, tree.get(name, ""))
    for name, attribute in _NUMBERS.items():
        if name in tree:
            setattr(made, attribute, tree[name])
    made.required.extend(tree.get("required", ()))
    for value in tree.get("enum", ()):
        made.enum.add(yaml=_yaml(value))
    if "type" in tree:
        made.type.value.append(tree["type"])
    if "items" in tree:
        _schema(made.items.schema.add(), tree["items"])
    values = tree.get("additionalProperties")
    if isinstance(values, bool):
        made.additional_properties.boolean = values
    elif values is not None:
        _schema(made.additional_properties.schema, values)
    for name, schema in tree.get("properties", {}).items():
        _schema(made.properties.additional_properties.add(name=name).value, schema)
    _extensions(made.vendor_extension, tree)


def _extensions(into: Any, tree: Mapping[str, Any]) -> None:
    for name, value in tree.items():
        if name.startswith("x-"):
            into.add(name=name).value.yaml = _yaml(value)


def _yaml(value: Any) -> str:
    """JSON is YAML, and safe from YAML's own ideas of what a word means."""
    return orjson.dumps(value).decode() + "\n"
