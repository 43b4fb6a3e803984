"""Message → JSON. One closure per message type, compiled from its descriptor and kept.

As Go prints it: a pointer whenever present, any other scalar, list and map when not empty or marked `always`, a
sub-message that is no pointer always (`{}`, or null for a time), maps sorted by key, 64-bit integers as numbers.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from google.protobuf import message as protobuf
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from raftsman.options import v1 as options

from . import formats, plan

Encode = Callable[[Any], Any]
Fill = Callable[[], Any]

_METADATA = "raftsman.meta.v1.ObjectMeta"
DIGITS_MAX = 1e21
"""From here on a number is written with an exponent."""

_compiled: dict[Descriptor, Encode] = {}
_ZERO_SCALARS: dict[int, Any] = {
    FieldDescriptor.TYPE_STRING: "",
    FieldDescriptor.TYPE_BYTES: None,
    FieldDescriptor.TYPE_BOOL: False,
}


def to_json(message: protobuf.Message, *, type_meta: bool = True) -> dict[str, Any]:
    """The JSON object of a message; a kind's begins with apiVersion and kind unless `type_meta` is false."""
    own: Callable[..., dict[str, Any]] | None = getattr(message, "to_json", None)
    if own is not None:
        # An object of a custom resource.
        return own(type_meta=type_meta)
    descriptor: Descriptor = message.DESCRIPTOR  # type: ignore[assignment]
    encoded = encoder(descriptor)(message)
    kind = plan.type_meta(descriptor) if type_meta else None
    if kind is not None:
        return {"apiVersion": kind[0], "kind": kind[1], **encoded}
    return encoded  # type: ignore[no-any-return]


def encoder(descriptor: Descriptor) -> Encode:
    """The compiled encoder of a message type."""
    found = _compiled.get(descriptor)
    if found is None:
        shape = plan.format_of(descriptor)
        found = formats.ENCODERS.get(shape) or (
            _alternatives(descriptor, shape) if shape in formats.ALTERNATIVES else _compile(descriptor)
        )
        if descriptor.full_name == _METADATA:
            found = _without_empty_creation(found)
        _compiled[descriptor] = found
    return found


def _alternatives(descriptor: Descriptor, shape: int) -> Encode:
    """A schema, or the value of the message's other field."""
    name = formats.ALTERNATIVES[shape]
    schema = _late(plan.message_of(descriptor.fields_by_name["schema"]))
    convert = _value_encoder(descriptor.fields_by_name[name])

    def encode(message: Any) -> Any:
        other = getattr(message, name)
        if message.HasField("schema") and (name == "allows" or not other):
            return schema(message.schema)
        return other if convert is None else convert(other)

    return encode


def _compile(descriptor: Descriptor) -> Encode:
    handlers: dict[int, tuple[str, Encode | None, bool]] = {}
    inlined: dict[int, Encode] = {}
    fills: list[tuple[str, Fill]] = []
    for field in descriptor.fields:
        facts = field.GetOptions().Extensions[options.field]
        if facts.inline:
            inlined[field.number] = _late(plan.message_of(field))
            fills.extend(_inline_fills(plan.message_of(field)))
            continue
        handlers[field.number] = (field.json_name, _value_encoder(field), _drops_zero(field, facts))
        fill = _fill(descriptor, field, facts)
        if fill is not None:
            fills.append((field.json_name, fill))

    def encode(message: Any) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for field, value in message.ListFields():
            handler = handlers.get(field.number)
            if handler is None:
                out.update(inlined[field.number](value))
                continue
            name, convert, drops_zero = handler
            if drops_zero and not value:
                continue
            out[name] = value if convert is None else convert(value)
        for name, fill in fills:
            if name not in out:
                out[name] = fill()
        return out

    return encode


def _without_empty_creation(encode: Encode) -> Encode:
    """The one time that Go leaves out when it is empty; its protobuf says it all the same."""

    def encode_metadata(message: Any) -> Any:
        out = encode(message)
        if out.get("creationTimestamp", "") is None:
            del out["creationTimestamp"]
        return out

    return encode_metadata


def _drops_zero(field: FieldDescriptor, facts: options.FieldFacts) -> bool:
    return not facts.pointer and not facts.always and not field.is_repeated and field.message_type is None


def _late(descriptor: Descriptor) -> Encode:
    """An encoder that is compiled when first used: message types may contain themselves."""
    return lambda message: encoder(descriptor)(message)


def _inline_fills(descriptor: Descriptor) -> list[tuple[str, Fill]]:
    found = []
    for field in descriptor.fields:
        facts = field.GetOptions().Extensions[options.field]
        if facts.inline:
            found.extend(_inline_fills(plan.message_of(field)))
            continue
        fill = _fill(descriptor, field, facts)
        if fill is not None:
            found.append((field.json_name, fill))
    return found


def _fill(parent: Descriptor, field: FieldDescriptor, facts: options.FieldFacts) -> Fill | None:
    """What stands for a field that is not set, or None if nothing does."""
    if field.is_repeated or facts.pointer:
        return (lambda: None) if facts.always else None
    if field.message_type is not None:
        if field.name == "creation_timestamp" and parent.full_name == _METADATA:
            return None
        return _empty(field.message_type)
    if not facts.always:
        return None
    zero = _ZERO_SCALARS.get(field.type, 0)
    return lambda: zero


def _empty(descriptor: Descriptor) -> Fill:
    shape = plan.format_of(descriptor)
    if shape in formats.ZEROS:
        zero = formats.ZEROS[shape]
        return lambda: zero
    empty = plan.message_class(descriptor)()
    return lambda: encoder(descriptor)(empty)


def _double(value: float) -> float:
    """Whole numbers without a fraction."""
    return int(value) if value.is_integer() and abs(value) < DIGITS_MAX else value


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _value_encoder(field: FieldDescriptor) -> Encode | None:
    """How the value of a set field becomes JSON; None if it is JSON already."""
    if plan.is_map(field):
        return _map_encoder(plan.map_value(field))
    one = to_json if plan.is_whole_object(field) else _one(field)
    if not field.is_repeated:
        return one
    if one is None:
        return list
    return lambda values: [one(value) for value in values]


def _one(field: FieldDescriptor) -> Encode | None:
    if field.message_type is not None:
        shape = plan.format_of(field.message_type)
        return formats.ENCODERS.get(shape) or _late(field.message_type)
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return _double
    return _base64 if field.type == FieldDescriptor.TYPE_BYTES else None


def _map_encoder(value_field: FieldDescriptor) -> Encode:
    one = _one(value_field)
    if one is None:
        return lambda values: dict(sorted(values.items()))
    return lambda values: {key: one(values[key]) for key in sorted(values)}
