"""Schemas of messages, from their descriptors, options and comments, under the names that Kubernetes gives them.

Clients read from them which fields there are and of which type, and how lists are merged (`x-kubernetes-patch-*`,
`x-kubernetes-list-*`, `x-kubernetes-map-type`); `explain` prints the rest.
"""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from raftsman import codec, comments
from raftsman.codec import plan
from raftsman.options import v1 as options
from raftsman.services.apiserver.managedfields import shapes

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_API_VERSION = "The group and version that the object is written in, e.g. apps/v1."
_KIND = "What the object is, e.g. Deployment."
_STRINGS: Schema = {"type": "array", "items": {"type": "string", "default": ""}}
_FORMATS: dict[int, Schema] = {
    options.FORMAT_QUANTITY: {"oneOf": [{"type": "string"}, {"type": "number"}]},
    options.FORMAT_INT_OR_STRING: {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"},
    options.FORMAT_TIME: {"type": "string", "format": "date-time"},
    options.FORMAT_MICRO_TIME: {"type": "string", "format": "date-time"},
    options.FORMAT_RAW_JSON: {"type": "object"},
    options.FORMAT_DURATION: _TEXT,
    options.FORMAT_STRING_LIST: _STRINGS,
    options.FORMAT_SCHEMA_OR_ARRAY: {},
    options.FORMAT_SCHEMA_OR_BOOL: {},
    options.FORMAT_SCHEMA_OR_STRINGS: {},
}
# Any JSON value, where RAW_JSON elsewhere is an object.
_ANY = frozenset({"raftsman.apiextensions.v1.JSON"})
_SCALARS: dict[int, Schema] = {
    FieldDescriptor.TYPE_STRING: _TEXT,
    FieldDescriptor.TYPE_BYTES: {"type": "string", "format": "byte"},
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_UINT32: {"type": "integer", "format": "int64"},
    FieldDescriptor.TYPE_INT64: {"type": "integer", "format": "int64"},
    FieldDescriptor.TYPE_UINT64: {"type": "integer", "format": "int64"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
}
_ZEROS: dict[str, Any] = {"string": "", "boolean": False, "integer": 0, "number": 0}
_LIST_TYPES = {options.LIST_TYPE_ATOMIC: "atomic", options.LIST_TYPE_SET: "set", options.LIST_TYPE_MAP: "map"}
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
# Packages whose names in Go are not those of k8s.io/api.
_PACKAGES = {
    "runtime.v1": "io.k8s.apimachinery.pkg.runtime",
    "meta.v1": _META,
    "apiextensions.v1": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
    "apiregistration.v1": "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1",
}
_NAMES = {
    "raftsman.meta.v1.Quantity": "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "raftsman.meta.v1.IntOrString": "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
}
# Kinds that are sent with any group version's requests.
EVERYWHERE = ("DeleteOptions", "WatchEvent")


def name_of(descriptor: Descriptor) -> str:
    """The schema's name, as clients that know Kubernetes' own expect it."""
    known = _NAMES.get(descriptor.full_name)
    package = descriptor.file.package.removeprefix("raftsman.")
    return known or f"{_PACKAGES.get(package, f'io.k8s.api.{package}')}.{descriptor.name}"


def reference(descriptor: Descriptor) -> str:
    return f"#/components/schemas/{name_of(descriptor)}"


def gvk(group: str, version: str, kind: str) -> dict[str, str]:
    return {"group": group, "kind": kind, "version": version}


def add(descriptor: Descriptor, schemas: dict[str, Schema]) -> None:
    """A message's schema, and those of all that it is made of."""
    name = name_of(descriptor)
    if name in schemas:
        return
    schema: Schema = {}
    schemas[name] = schema
    if said := comments.of_message(descriptor):
        schema["description"] = said
    shape = plan.format_of(descriptor)
    if shape:
        schema |= {} if descriptor.full_name in _ANY else _FORMATS[shape]
        return
    schema["type"] = "object"
    properties, required = _properties(descriptor, schemas)
    if properties:
        schema["properties"] = properties
    if required:
        schema["required"] = sorted(required)
    if descriptor.full_name in shapes.ATOMIC_MESSAGES:
        schema["x-kubernetes-map-type"] = "atomic"
    kind = codec.type_meta(descriptor)
    if kind is not None:
        group, _, version = kind[0].rpartition("/")
        schema["x-kubernetes-group-version-kind"] = [gvk(group, version, kind[1])]


def _properties(descriptor: Descriptor, schemas: dict[str, Schema]) -> tuple[dict[str, Schema], list[str]]:
    properties: dict[str, Schema] = {}
    required = []
    everywhere = descriptor.file.package == "raftsman.meta.v1" and descriptor.name in EVERYWHERE
    if codec.type_meta(descriptor) is not None or (everywhere and descriptor.name != "WatchEvent"):
        properties |= {"apiVersion": _TEXT | {"description": _API_VERSION}, "kind": _TEXT | {"description": _KIND}}
    said = comments.of_fields(descriptor)
    for json_name, field in plan.fields(descriptor).items():
        found = _property(field, schemas)
        if (descriptor.full_name, json_name) in shapes.ATOMIC_MAPS:
            found["x-kubernetes-map-type"] = "atomic"
        properties[json_name] = ({"description": said[json_name]} if json_name in said else {}) | found
        if _required(descriptor, json_name, field):
            required.append(json_name)
    return properties, required


def _required(descriptor: Descriptor, json_name: str, field: plan.Field) -> bool:
    """A list's items are always there; what the server fills in is not asked for."""
    listed = json_name == "items" and codec.type_meta(descriptor) is not None
    return field.facts.required or listed


def _property(field: plan.Field, schemas: dict[str, Schema]) -> Schema:
    facts = field.facts
    if field.shape is plan.Shape.MAP:
        return {"type": "object", "additionalProperties": _inner(field, schemas)}
    if field.shape is plan.Shape.SINGLE:
        found = _single(field, schemas)
        if facts.default:
            found["default"] = json.loads(facts.default)
        return found
    found = {"type": "array", "items": _inner(field, schemas)}
    if facts.list_type:
        found["x-kubernetes-list-type"] = _LIST_TYPES[facts.list_type]
    if facts.list_map_keys:
        found["x-kubernetes-list-map-keys"] = list(facts.list_map_keys)
    if facts.patch_merge_key:
        found["x-kubernetes-patch-merge-key"] = facts.patch_merge_key
    strategies = ["merge"] if facts.patch_strategy == options.PATCH_STRATEGY_MERGE else []
    strategies += ["retainKeys"] if facts.retain_keys else []
    if strategies:
        found["x-kubernetes-patch-strategy"] = ",".join(strategies)
    return found


def _single(field: plan.Field, schemas: dict[str, Schema]) -> Schema:
    """Who leaves out a field that Go keeps as a plain value gets its zero value."""
    facts = field.facts
    if field.message is None:
        found = _scalar(field)
        zero = _ZEROS[found["type"]]
        shown = facts.always and not facts.pointer and zero in found.get("enum", (zero,))
        return found | ({"default": zero} if shown else {})
    found = _referred(field.message, schemas)
    if "allOf" in found and not facts.pointer and _may_be_empty(field.message):
        found["default"] = {}
    if facts.retain_keys:
        found["x-kubernetes-patch-strategy"] = "retainKeys"
    return found


def _inner(field: plan.Field, schemas: dict[str, Schema]) -> Schema:
    """What a list or a map is of."""
    if field.message is None:
        found = _scalar(field)
        return found if "enum" in found else found | {"default": _ZEROS[found["type"]]}
    found = _referred(field.message, schemas)
    return found | ({"default": {}} if "allOf" in found and _may_be_empty(field.message) else {})


def _scalar(field: plan.Field) -> Schema:
    found = dict(_SCALARS[field.scalar])
    return found | ({"enum": list(field.facts.values)} if field.facts.values else {})


def _may_be_empty(message: Descriptor) -> bool:
    """Whether {} is one of them."""
    if plan.format_of(message):
        return False
    return not any(_required(message, name, field) for name, field in plan.fields(message).items())


def _referred(message: Descriptor, schemas: dict[str, Schema]) -> Schema:
    if plan.format_of(message) == options.FORMAT_STRING_LIST:
        return dict(_STRINGS)
    add(message, schemas)
    return {"allOf": [{"$ref": reference(message)}]}
