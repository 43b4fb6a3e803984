"""What can be said of a field and what is below it: from the messages of built-in kinds, or a custom kind's schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from raftsman import codec, comments
from raftsman.codec import plan
from raftsman.meta import v1 as meta
from raftsman.options import v1 as options

_SCALARS = {
    FieldDescriptor.TYPE_STRING: "string", FieldDescriptor.TYPE_BYTES: "string", FieldDescriptor.TYPE_BOOL: "boolean",
    FieldDescriptor.TYPE_INT32: "integer", FieldDescriptor.TYPE_INT64: "integer",
    FieldDescriptor.TYPE_UINT32: "integer", FieldDescriptor.TYPE_UINT64: "integer",
    FieldDescriptor.TYPE_DOUBLE: "number",
}  # fmt: skip
_FORMATS: dict[int, str] = {
    options.FORMAT_TIME: "string", options.FORMAT_MICRO_TIME: "string", options.FORMAT_DURATION: "string",
    options.FORMAT_STRING_LIST: "[]string",
}  # fmt: skip
_API_VERSION = "The group and version that the object is written in, e.g. apps/v1."
_KIND = "What the object is, e.g. Deployment."


@dataclass(frozen=True)
class Doc:
    """One field, or a whole kind. `message` or `schema` is what is below it."""

    type: str
    said: str = ""
    of: str = ""
    required: bool = False
    values: tuple[str, ...] = ()
    default: str = ""
    message: Descriptor | None = None
    schema: Mapping[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, Doc]:
        """What is below, by name."""
        if self.message is not None:
            return _of_message(self.message)
        return _of_schema(self.schema)


def of_message(descriptor: Descriptor) -> Doc:
    """A built-in kind."""
    return Doc(descriptor.name, comments.of_message(descriptor), message=descriptor)


def of_schema(kind: str, schema: Mapping[str, Any]) -> Doc:
    """A custom kind, by the schema of one of its versions."""
    return Doc(kind, schema.get("description", ""), schema=schema)


def _of_message(descriptor: Descriptor) -> dict[str, Doc]:
    found = _typed() if codec.type_meta(descriptor) is not None else {}
    said = comments.of_fields(descriptor)
    for name, one in sorted(plan.fields(descriptor).items()):
        message = one.message if one.message is not None and not plan.format_of(one.message) else None
        of = comments.of_message(message) if message is not None else ""
        found[name] = Doc(
            _type(one), said.get(name, ""), of, one.facts.required, tuple(one.facts.values),
            _default(one.facts.default), message,
        )  # fmt: skip
    return found


def _typed() -> dict[str, Doc]:
    return {"apiVersion": Doc("string", _API_VERSION), "kind": Doc("string", _KIND)}


def _default(text: str) -> str:
    value = json.loads(text) if text else ""
    return value if isinstance(value, str) else json.dumps(value)


def _type(one: plan.Field) -> str:
    name = _SCALARS[one.scalar] if one.message is None else _FORMATS.get(plan.format_of(one.message), one.message.name)
    return {plan.Shape.LIST: f"[]{name}", plan.Shape.MAP: f"map[string]{name}"}.get(one.shape, name)


def _of_schema(schema: Mapping[str, Any]) -> dict[str, Doc]:
    """Of a list or a map, what is below its elements."""
    inner = _element(schema)
    top = "properties" in inner and {"apiVersion", "kind", "metadata"} <= set(inner["properties"])
    found = {}
    for name, one in sorted(inner.get("properties", {}).items()):
        values = tuple(str(value) for value in one.get("enum", ()))
        default = one.get("default", "")
        text = default if isinstance(default, str) else json.dumps(default)
        required = name in inner.get("required", ())
        found[name] = Doc(_type_of(one), one.get("description", ""), "", required, values, text, schema=one)
    if top:
        metadata = comments.of_message(meta.ObjectMeta.DESCRIPTOR)
        found |= _typed() | {"metadata": Doc("ObjectMeta", "", metadata, message=meta.ObjectMeta.DESCRIPTOR)}
    return dict(sorted(found.items()))


def _element(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while True:
        values = schema.get("additionalProperties")
        if isinstance(schema.get("items"), Mapping):
            schema = schema["items"]
        elif isinstance(values, Mapping):
            schema = values
        else:
            return schema


def _type_of(schema: Mapping[str, Any]) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "IntOrString"
    if isinstance(schema.get("items"), Mapping):
        return f"[]{_type_of(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), Mapping):
        return f"map[string]{_type_of(schema['additionalProperties'])}"
    return str(schema.get("type", "Object")).replace("object", "Object")
