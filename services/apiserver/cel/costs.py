"""What an expression may cost at most, found from its tree and from what a schema says of sizes.

A step is one unit; a loop costs its body for each element, a text its length for functions that read it. Where the
schema bounds nothing, a value is as large as a request can make it (REQUEST_BYTES_MAX). Kubernetes' limits; this
estimate is never the stricter one.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from .typed import Schema, escaped

REQUEST_BYTES_MAX = 3 << 20
PER_EXPRESSION_MAX = 10_000_000
PER_DEFINITION_MAX = 100_000_000
CAP = 1 << 62
# Functions that read all of a text, and for how much a character.
_READING = {
    "matches": 0.1, "contains": 0.1, "startsWith": 0.01, "endsWith": 0.01, "replace": 0.1, "split": 0.1, "find": 0.1,
    "findAll": 0.1, "lowerAscii": 0.1, "upperAscii": 0.1,
}  # fmt: skip
_LEAST = {"string": 2, "integer": 1, "number": 1, "boolean": 4, "array": 2, "object": 2}


def factor(cost: int, limit: int) -> str:
    """How far above the limit, in words."""
    times = cost / limit
    return "more than 100x" if times > 100 else f"{times:.1f}x"


def size_of(schema: Schema | None) -> int:
    """How many elements a value can have at most, or characters."""
    if schema is None:
        return 1
    facts = schema.facts
    if schema.type == "string":
        known = {"date-time": 30, "date": 11, "duration": 30}.get(facts.get("format", ""))
        return int(known or facts.get("maxLength", REQUEST_BYTES_MAX))
    if schema.type == "array":
        least = _LEAST.get(schema.items.type, 2) if schema.items is not None else 2
        return int(facts.get("maxItems", REQUEST_BYTES_MAX // (least + 1)))
    if schema.additional is not None:
        least = _LEAST.get(schema.additional.type, 2)
        return int(facts.get("maxProperties", REQUEST_BYTES_MAX // (least + 5)))
    return 1


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a part's value: its cost, its schema if it has one, its size if it is another's."""

    cost: int
    schema: Schema | None = None
    size: int | None = None

    @property
    def elements(self) -> int:
        return self.size if self.size is not None else size_of(self.schema)


def estimate(serialised: bytes, schema: Schema) -> int:
    """Of a checked expression about `self`."""
    wrapper = _message("Any").FromString(serialised)
    tree = _message("CheckedExpr").FromString(wrapper.value).expr
    names = {"self": schema, "oldSelf": schema, "raftsman_old": schema}
    return _known(tree, names).cost


def _known(tree: Any, names: Mapping[str, Schema | None]) -> _Known:
    match tree.WhichOneof("kind"):
        case "ident_expr":
            return _Known(1, names.get(tree.ident_expr.name))
        case "select_expr":
            return _selected(tree.select_expr, names)
        case "call_expr":
            return _called(tree.call_expr, names)
        case "comprehension_expr":
            return _looped(tree.comprehension_expr, names)
        case "list_expr":
            parts = tree.list_expr.elements
            return _Known(1 + sum(_known(one, names).cost for one in parts), None, len(parts))
        case "struct_expr":
            parts = tree.struct_expr.entries
            costs = (_known(one.value, names).cost + _known(one.map_key, names).cost for one in parts)
            return _Known(1 + sum(costs), None, len(parts))
    return _Known(0)


def _selected(tree: Any, names: Mapping[str, Schema | None]) -> _Known:
    operand = _known(tree.operand, names)
    return _Known(operand.cost + 1, _field(operand.schema, tree.field))


def _field(schema: Schema | None, name: str) -> Schema | None:
    if schema is None:
        return None
    if schema.additional is not None:
        found: Schema = schema.additional
        return found
    return next((inner for key, inner in schema.properties.items() if escaped(key) == name), None)


def _called(tree: Any, names: Mapping[str, Schema | None]) -> _Known:
    parts = [_known(one, names) for one in tree.args]
    target = _known(tree.target, names) if tree.HasField("target") else None
    cost = 1 + sum(one.cost for one in parts) + (target.cost if target is not None else 0)
    if tree.function in ("_[_]", "_[?_]") and parts:
        schema = parts[0].schema
        inner = None if schema is None else (schema.items or schema.additional)
        return _Known(cost, inner)
    read = target or (parts[0] if parts else None)
    if tree.function in _READING and read is not None and (read.schema is None or read.schema.type == "string"):
        cost += int(_READING[tree.function] * (read.elements if read.schema is not None else 1))
    if tree.function == "split" and target is not None and target.schema is not None:
        return _Known(cost, None, target.elements)
    return _Known(min(cost, CAP))


def _looped(tree: Any, names: Mapping[str, Schema | None]) -> _Known:
    over = _known(tree.iter_range, names)
    schema = over.schema
    element = schema.items if schema is not None and schema.type == "array" else None
    inside = {**names, tree.iter_var: element, tree.accu_var: None}
    body = _known(tree.loop_condition, inside).cost + _known(tree.loop_step, inside).cost
    ends = _known(tree.accu_init, names).cost + _known(tree.result, inside).cost
    empty = tree.iter_range.WhichOneof("kind") == "list_expr" and not tree.iter_range.list_expr.elements
    count = 0 if empty else over.elements
    return _Known(min(over.cost + ends + count * body, CAP), None, count)


# -- the tree's own messages (cel/expr/syntax.proto), as far as they are read

_FIELDS: dict[str, tuple[tuple[str, int, str], ...]] = {
    "Any": (("value", 2, "bytes"),),
    "CheckedExpr": (("expr", 4, "Expr"),),
    "Expr": (
        ("const_expr", 3, "Constant"), ("ident_expr", 4, "Ident"), ("select_expr", 5, "Select"),
        ("call_expr", 6, "Call"), ("list_expr", 7, "List"), ("struct_expr", 8, "Struct"),
        ("comprehension_expr", 9, "Comprehension"),
    ),
    "Constant": (),
    "Ident": (("name", 1, "string"),),
    "Select": (("operand", 1, "Expr"), ("field", 2, "string")),
    "Call": (("target", 1, "Expr"), ("function", 2, "string"), ("args", 3, "*Expr")),
    "List": (("elements", 1, "*Expr"),),
    "Entry": (("map_key", 3, "Expr"), ("value", 4, "Expr")),
    "Struct": (("entries", 2, "*Entry"),),
    "Comprehension": (
        ("iter_var", 1, "string"), ("iter_range", 2, "Expr"), ("accu_var", 3, "string"), ("accu_init", 4, "Expr"),
        ("loop_condition", 5, "Expr"), ("loop_step", 6, "Expr"), ("result", 7, "Expr"),
    ),
}  # fmt: skip


@functools.cache
def _pool() -> Any:
    made = descriptor_pb2.FileDescriptorProto(name="tree.proto", package="tree", syntax="proto3")
    for name, fields in _FIELDS.items():
        message = made.message_type.add(name=name)
        if name == "Expr":
            message.oneof_decl.add(name="kind")
        for field, number, type_ in fields:
            _add(message, field, number, type_)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(made.SerializeToString())
    return pool


def _add(message: Any, name: str, number: int, type_: str) -> None:
    field = message.field.add(name=name, number=number)
    repeated = type_.startswith("*")
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if type_ in ("string", "bytes"):
        field.type = field.TYPE_STRING if type_ == "string" else field.TYPE_BYTES
        return
    field.type, field.type_name = field.TYPE_MESSAGE, f".tree.{type_.lstrip('*')}"
    if message.name == "Expr":
        field.oneof_index = 0


@functools.cache
def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"tree.{name}"))
