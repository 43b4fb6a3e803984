"""Types for checking expressions: a schema becomes protobuf messages, whose fields CEL knows.

They serve the checker alone: it finds fields that are not there and operators that do not fit. Values are maps at run
time, where a field that is absent is an error and not a zero. What a protobuf type cannot say is of any type.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, Protocol

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2

_PACKAGE = "custom"
FILE = "custom.proto"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset({
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let",
    "loop", "package", "namespace", "return", "var", "void", "while",
})  # fmt: skip
_VALUE = ".google.protobuf.Value"
_WELL_KNOWN = {"date-time": ".google.protobuf.Timestamp", "date": ".google.protobuf.Timestamp",
               "datetime": ".google.protobuf.Timestamp", "duration": ".google.protobuf.Duration"}  # fmt: skip
Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {"string": Field.TYPE_STRING, "integer": Field.TYPE_INT64, "number": Field.TYPE_DOUBLE,
            "boolean": Field.TYPE_BOOL}  # fmt: skip
_WRAPPERS = {"string": ".google.protobuf.StringValue", "integer": ".google.protobuf.Int64Value",
             "number": ".google.protobuf.DoubleValue", "boolean": ".google.protobuf.BoolValue"}  # fmt: skip


class Schema(Protocol):
    """What is read of a schema."""

    @property
    def facts(self) -> Mapping[str, Any]: ...
    @property
    def type(self) -> str: ...
    @property
    def nullable(self) -> bool: ...
    @property
    def int_or_string(self) -> bool: ...
    @property
    def embedded(self) -> bool: ...
    @property
    def properties(self) -> Mapping[str, Any]: ...
    @property
    def additional(self) -> Any: ...
    @property
    def items(self) -> Any: ...


@functools.lru_cache(maxsize=4096)
def escaped(name: str) -> str:
    """A property's name as expressions write it; "" if they cannot name it."""
    if name in _RESERVED:
        return f"__{name}__"
    text = name.replace("__", "__underscores__").replace(".", "__dot__").replace("-", "__dash__")
    text = text.replace("/", "__slash__")
    return text if _NAME.fullmatch(text) else ""


def environment(schema: Schema, *, root: bool) -> tuple[Any, dict[str, Any]]:
    """The messages, and the variables of rules: `self` and `oldSelf` are of the schema's type."""
    from cel_expr_python import cel

    types = _Types()
    found = types.variable(schema, root=root)
    type_ = cel.Type(found) if isinstance(found, str) else found
    pool = types.pool()
    try:
        pool.FindFileByName(FILE)
    except (KeyError, TypeError):
        # Two names of the schema that protobuf does not tell apart: nothing is known of their types.
        pool, type_ = descriptor_pool.DescriptorPool(), cel.Type.DYN
    return pool, {"self": type_, "oldSelf": type_, "raftsman_old": type_, "raftsman_had": cel.Type.BOOL}


class _Types:
    """Messages of one schema, a file of them."""

    def __init__(self) -> None:
        self._file = descriptor_pb2.FileDescriptorProto(name=FILE, package=_PACKAGE, syntax="proto3")
        self._file.dependency.extend(
            f"google/protobuf/{name}.proto" for name in ("timestamp", "duration", "struct", "wrappers")
        )

    def pool(self) -> descriptor_pool.DescriptorPool:
        pool = descriptor_pool.DescriptorPool()
        for module in (timestamp_pb2, duration_pb2, struct_pb2, wrappers_pb2):
            pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        pool.AddSerializedFile(self._file.SerializeToString())
        return pool

    def variable(self, schema: Schema, *, root: bool) -> Any:
        """The type of a whole value: a message's name, or one of CEL's types."""
        from cel_expr_python import cel

        if schema.int_or_string or schema.nullable:
            return cel.Type.DYN
        match schema.type:
            case "object" if schema.additional is None and (schema.properties or root):
                return self._message(schema, root=root)
            case "object" if schema.additional is not None:
                return cel.Type.Map(cel.Type.STRING, self._element(schema.additional))
            case "array" if schema.items is not None:
                return cel.Type.List(self._element(schema.items))
            case "string":
                name = _WELL_KNOWN.get(schema.facts.get("format", ""), "")
                if name:
                    return cel.Type.TIMESTAMP if name.endswith("Timestamp") else cel.Type.DURATION
                return cel.Type.BYTES if schema.facts.get("format") == "byte" else cel.Type.STRING
            case "integer":
                return cel.Type.INT
            case "number":
                return cel.Type.DOUBLE
            case "boolean":
                return cel.Type.BOOL
        return cel.Type.DYN

    def _element(self, schema: Schema) -> Any:
        from cel_expr_python import cel

        found = self.variable(schema, root=False)
        return cel.Type(found) if isinstance(found, str) else found

    def _message(self, schema: Schema, *, root: bool = False) -> str:
        made = self._file.message_type.add(name=f"Object{len(self._file.message_type)}")
        name = f"{_PACKAGE}.{made.name}"
        fields: list[Any] = []
        if root or schema.embedded:
            fields += [("apiVersion", _TEXT), ("kind", _TEXT), ("metadata", _METADATA)]
        fields += [(key, inner) for key, inner in schema.properties.items()
                   if not ((root or schema.embedded) and key in ("apiVersion", "kind", "metadata"))]  # fmt: skip
        for number, (key, inner) in enumerate(fields, start=1):
            spelled = escaped(key)
            if spelled:
                field = Field(name=spelled, number=number, label=Field.LABEL_OPTIONAL, json_name=f"f{number}")
                self._type(field, made, inner)
                made.field.append(field)
        return name

    def _type(self, field: Any, owner: Any, schema: Schema) -> None:
        if schema.int_or_string:
            field.type, field.type_name = Field.TYPE_MESSAGE, _VALUE
        elif schema.type == "array" and schema.items is not None and not schema.nullable:
            self._list(field, owner, schema.items)
        elif schema.type == "object" and schema.additional is not None and not schema.nullable:
            self._map(field, owner, schema.additional)
        else:
            self._single(field, schema)

    def _single(self, field: Any, schema: Schema) -> None:
        well_known = _WELL_KNOWN.get(schema.facts.get("format", "")) if schema.type == "string" else None
        field.type = Field.TYPE_MESSAGE
        if schema.type == "object" and schema.properties and schema.additional is None:
            field.type_name = f".{self._message(schema)}"
        elif well_known:
            field.type_name = well_known
        elif schema.type == "string" and schema.facts.get("format") == "byte":
            field.type = Field.TYPE_BYTES
        elif schema.type in _SCALARS and schema.nullable:
            field.type_name = _WRAPPERS[schema.type]
        elif schema.type in _SCALARS:
            field.type = _SCALARS[schema.type]
        else:
            field.type_name = _VALUE

    def _list(self, field: Any, owner: Any, items: Schema) -> None:
        if items.type == "array" or (items.type == "object" and items.additional is not None):
            field.type, field.type_name = Field.TYPE_MESSAGE, _VALUE
            field.label = Field.LABEL_REPEATED
            return
        self._type(field, owner, items)
        field.label = Field.LABEL_REPEATED

    def _map(self, field: Any, owner: Any, values: Schema) -> None:
        # The name that protobuf's own compiler would give: another is refused.
        name = "".join(word[:1].upper() + word[1:] for word in field.name.split("_")) + "Entry"
        if any(one.name == name for one in owner.nested_type):
            field.type, field.type_name = Field.TYPE_MESSAGE, _VALUE
            return
        entry = owner.nested_type.add(name=name)
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=Field.LABEL_OPTIONAL, type=Field.TYPE_STRING, json_name="key")
        value = Field(name="value", number=2, label=Field.LABEL_OPTIONAL, json_name="value")
        if values.type == "array" or values.additional is not None:
            value.type, value.type_name = Field.TYPE_MESSAGE, _VALUE
        else:
            self._type(value, owner, values)
        entry.field.append(value)
        field.label, field.type = Field.LABEL_REPEATED, Field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{owner.name}.{name}"


class _Plain:
    """A schema of our own."""

    def __init__(self, type_: str, properties: Mapping[str, Any] | None = None) -> None:
        self.type, self.properties = type_, properties or {}
        self.facts: Mapping[str, Any] = {}
        self.nullable = self.int_or_string = self.embedded = False
        self.additional = self.items = None


_TEXT = _Plain("string")
_METADATA = _Plain("object", {"name": _TEXT, "generateName": _TEXT})
