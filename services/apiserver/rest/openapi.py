"""OpenAPI 3.0 of what is served, one document a group version, written from the messages' descriptors and options.

Clients read three things from it: which fields there are and of which type, how lists are merged
(`x-kubernetes-patch-*`, `x-kubernetes-list-*`), and that a PATCH knows `fieldValidation`.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from raftsman import codec, comments, resources
from raftsman.codec import plan
from raftsman.options import v1 as options
from raftsman.resources import Resource

from . import documents, paths

_TEXT: dict[str, Any] = {"type": "string"}
_API_VERSION = "The group and version that the object is written in, e.g. apps/v1."
_KIND = "What the object is, e.g. Deployment."
_FORMATS: dict[int, dict[str, Any]] = {
    options.FORMAT_QUANTITY: {"oneOf": [{"type": "string"}, {"type": "number"}]},
    options.FORMAT_INT_OR_STRING: {"type": "string", "format": "int-or-string", "x-kubernetes-int-or-string": True},
    options.FORMAT_TIME: {"type": "string", "format": "date-time"},
    options.FORMAT_MICRO_TIME: {"type": "string", "format": "date-time"},
    options.FORMAT_RAW_JSON: {"type": "object"},
    options.FORMAT_DURATION: _TEXT,
    options.FORMAT_STRING_LIST: {"type": "array", "items": _TEXT},
    # Of either type, which a structural schema cannot say.
    options.FORMAT_SCHEMA_OR_ARRAY: {},
    options.FORMAT_SCHEMA_OR_BOOL: {},
    options.FORMAT_SCHEMA_OR_STRINGS: {},
}
_SCALARS: dict[int, dict[str, Any]] = {
    FieldDescriptor.TYPE_STRING: _TEXT,
    FieldDescriptor.TYPE_BYTES: {"type": "string", "format": "byte"},
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_UINT32: {"type": "integer", "format": "int64"},
    FieldDescriptor.TYPE_INT64: {"type": "integer", "format": "int64"},
    FieldDescriptor.TYPE_UINT64: {"type": "integer", "format": "int64"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
}
_LIST_TYPES = {options.LIST_TYPE_ATOMIC: "atomic", options.LIST_TYPE_SET: "set", options.LIST_TYPE_MAP: "map"}
_MEDIA = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_PATCH_MEDIA = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)


@functools.cache
def index() -> bytes:
    """The document at /openapi/v3: where each group version's is, by a URL that changes with it."""
    found = {}
    for group, versions in paths.group_versions().items():
        for version in versions:
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            digest = hashlib.sha256(document(path) or b"").hexdigest().upper()
            found[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return documents.dumped({"paths": found})


@functools.lru_cache(maxsize=64)
def document(path: str) -> bytes | None:
    """The document of `api/v1` or `apis/GROUP/VERSION`; None if that is not served."""
    match path.split("/"):
        case ["api", version]:
            group = ""
        case ["apis", group, version]:
            pass
        case _:
            return None
    found = [one for one in resources.served() if (one.group, one.version) == (group, version)]
    if not found:
        return None
    schemas: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for resource in found:
        _add(resource.message.DESCRIPTOR, schemas)
        if resource.list_message is not None:
            _add(resource.list_message.DESCRIPTOR, schemas)
        operations |= _operations(resource)
    from raftsman.meta import v1 as meta

    for message in (meta.Status, meta.DeleteOptions):
        _add(message.DESCRIPTOR, schemas)
    tree = {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.36.0"},
        "paths": operations,
        "components": {"schemas": dict(sorted(schemas.items()))},
    }
    return documents.dumped(tree)


def name_of(descriptor: Descriptor) -> str:
    """The schema's name, as clients that know Kubernetes' own expect it."""
    package = descriptor.file.package.removeprefix("raftsman.")
    if package == "runtime.v1":
        return f"io.k8s.apimachinery.pkg.runtime.{descriptor.name}"
    if package != "meta.v1":
        return f"io.k8s.api.{package}.{descriptor.name}"
    if descriptor.name == "Quantity":
        return "io.k8s.apimachinery.pkg.api.resource.Quantity"
    if descriptor.name == "IntOrString":
        return "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
    return f"io.k8s.apimachinery.pkg.apis.meta.v1.{descriptor.name}"


def _add(descriptor: Descriptor, schemas: dict[str, Any]) -> None:
    """A message's schema, and those of all that it is made of."""
    name = name_of(descriptor)
    if name in schemas:
        return
    shape = plan.format_of(descriptor)
    if shape:
        schemas[name] = _FORMATS[shape]
        return
    schemas[name] = schema = {"type": "object"}
    if said := comments.of_message(descriptor):
        schema["description"] = said
    properties: dict[str, Any] = {}
    required = []
    kind = codec.type_meta(descriptor)
    if kind is not None:
        properties |= {"apiVersion": _TEXT | {"description": _API_VERSION}, "kind": _TEXT | {"description": _KIND}}
        schema["x-kubernetes-group-version-kind"] = [_gvk(*kind)]  # type: ignore[assignment]
    said_of = comments.of_fields(descriptor)
    for json_name, field in plan.fields(descriptor).items():
        properties[json_name] = found = _property(field, schemas)
        if json_name in said_of:
            found["description"] = said_of[json_name]
        if field.facts.required:
            required.append(json_name)
    if properties:
        schema["properties"] = properties  # type: ignore[assignment]
    if required:
        schema["required"] = sorted(required)  # type: ignore[assignment]


def _property(field: plan.Field, schemas: dict[str, Any]) -> dict[str, Any]:
    if field.message is not None:
        _add(field.message, schemas)
        one: dict[str, Any] = {"allOf": [{"$ref": _reference(field.message)}], "default": {}}
        inner: dict[str, Any] = {"$ref": _reference(field.message)}
    else:
        one = inner = dict(_SCALARS[field.scalar])
    if field.shape is plan.Shape.MAP:
        return {"type": "object", "additionalProperties": inner}
    if field.shape is plan.Shape.SINGLE:
        return one
    facts = field.facts
    found: dict[str, Any] = {"type": "array", "items": inner}
    if facts.list_type:
        found["x-kubernetes-list-type"] = _LIST_TYPES[facts.list_type]
    if facts.list_map_keys:
        found["x-kubernetes-list-map-keys"] = list(facts.list_map_keys)
    if facts.patch_strategy == options.PATCH_STRATEGY_MERGE:
        found["x-kubernetes-patch-strategy"] = "merge"
    if facts.patch_merge_key:
        found["x-kubernetes-patch-merge-key"] = facts.patch_merge_key
    return found


def _reference(descriptor: Descriptor) -> str:
    return f"#/components/schemas/{name_of(descriptor)}"


def _gvk(api_version: str, kind: str) -> dict[str, str]:
    group, _, version = api_version.rpartition("/")
    return {"group": group, "kind": kind, "version": version}


def _operations(resource: Resource) -> dict[str, Any]:
    """The paths of a kind."""
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    collection = (
        f"{root}/namespaces/{{namespace}}/{resource.name}" if resource.namespaced else f"{root}/{resource.name}"
    )
    verbs = set(resource.facts.verbs)
    many: dict[str, Any] = {}
    one: dict[str, Any] = {}
    for verb, method, place in (
        ("list", "get", many), ("create", "post", many), ("deletecollection", "delete", many), ("get", "get", one),
        ("update", "put", one), ("patch", "patch", one), ("delete", "delete", one),
    ):  # fmt: skip
        if verb in verbs:
            place[method] = _operation(resource, verb)
    return {collection: many, f"{collection}/{{name}}": one}


def _operation(resource: Resource, verb: str) -> dict[str, Any]:
    listed = verb == "list" and resource.list_message is not None
    descriptor = resource.list_message.DESCRIPTOR if listed else resource.message.DESCRIPTOR  # type: ignore[union-attr]
    answered = {media: {"schema": {"$ref": _reference(descriptor)}} for media in _MEDIA}
    found: dict[str, Any] = {
        "operationId": f"{verb}{resource.group.partition('.')[0].title()}{resource.version.upper()}{resource.kind}",
        "responses": {"200": {"description": "OK", "content": answered}},
        "x-kubernetes-action": {"create": "post", "update": "put"}.get(verb, verb),
        "x-kubernetes-group-version-kind": _gvk(resource.api_version, resource.kind),
    }
    if verb in ("create", "update", "patch"):
        found["parameters"] = _parameters(
            "dryRun", "fieldManager", "fieldValidation", *(("force",) if verb == "patch" else ())
        )
        media = _PATCH_MEDIA if verb == "patch" else _MEDIA
        schema = {"type": "object"} if verb == "patch" else {"$ref": _reference(resource.message.DESCRIPTOR)}
        found["requestBody"] = {"content": {one: {"schema": schema} for one in media}, "required": True}
    elif verb == "list":
        found["parameters"] = _parameters(
            "labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch", "watch"
        )
    return found


def _parameters(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "schema": dict(_parameter_type(name))} for name in names]


def _parameter_type(name: str) -> Iterable[tuple[str, Any]]:
    return {"limit": {"type": "integer"}, "watch": {"type": "boolean"}, "force": {"type": "boolean"}}.get(
        name, _TEXT
    ).items()
