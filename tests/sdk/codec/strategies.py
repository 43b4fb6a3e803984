"""Any message of a type, as Hypothesis draws it: with the values that the type's JSON can say."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import strategies as st
from raftsman import quantity
from raftsman.codec import formats, plan
from raftsman.options import v1 as options

_words = st.text(max_size=6)
_scalars: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: _words,
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=6),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
}
_json = st.recursive(
    st.one_of(st.integers(-9, 9), _words, st.booleans()), lambda s: st.lists(s, max_size=2), max_leaves=3
)
_seconds = st.integers(1, 2**33)
_formats: dict[int, st.SearchStrategy[dict[str, Any]]] = {
    options.FORMAT_QUANTITY: st.builds(
        lambda n, s: {"string": quantity.format(f"{n}{s}")}, st.integers(0, 9999), st.sampled_from(["", "m", "Mi", "k"])
    ),
    options.FORMAT_INT_OR_STRING: st.one_of(
        st.builds(lambda n: {"type": 0, "int_val": n}, st.integers(-9, 70000)),
        st.builds(lambda s: {"type": 1, "str_val": s}, _words),
    ),
    options.FORMAT_TIME: st.builds(lambda n: {"seconds": n}, _seconds),
    options.FORMAT_MICRO_TIME: st.builds(
        lambda n, m: {"seconds": n, "nanos": m * 1000}, _seconds, st.integers(0, 999_999)
    ),
    options.FORMAT_RAW_JSON: st.builds(
        lambda v: {"raw": json.dumps(v, separators=(",", ":"), ensure_ascii=False).encode()}, _json
    ),
    options.FORMAT_DURATION: st.builds(lambda n: {"duration": n}, st.integers(1, 2**50)),
    options.FORMAT_STRING_LIST: st.builds(lambda v: {"items": v}, st.lists(_words, min_size=1, max_size=2)),
}


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, depth: int = 0) -> Any:
    """A message of at most a few fields on each level, in the one form that JSON keeps."""
    message = plan.message_class(descriptor)()
    shape = plan.format_of(descriptor)
    if shape in formats.ALTERNATIVES:
        return _alternative(draw, message, formats.ALTERNATIVES[shape], depth)
    if shape:
        for name, value in draw(_formats[shape]).items():
            getattr(message, name).extend(value) if isinstance(value, list) else setattr(message, name, value)
        return message
    fields = [field for field in descriptor.fields if depth < 7 or field.message_type is None]
    chosen = draw(st.lists(st.sampled_from(fields), max_size=4, unique_by=lambda f: f.json_name)) if fields else []
    for field in chosen:
        _fill(draw, message, field, depth)
    return message


def _alternative(draw: st.DrawFn, message: Any, name: str, depth: int) -> Any:
    """A schema, or the value that stands instead of one."""
    schema = message.DESCRIPTOR.fields_by_name["schema"].message_type
    if depth < 7 and draw(st.booleans()):
        message.schema.CopyFrom(draw(messages(schema, depth + 2)))
        message.schema.SetInParent()
        if name == "allows":
            message.allows = True
    elif name == "allows":
        # False and absent are one, as everywhere without a pointer.
        if draw(st.booleans()):
            message.allows = True
    elif name == "property":
        message.property.extend(draw(st.lists(_words, min_size=1, max_size=2)))
    else:
        message.schemas.extend([draw(messages(schema, depth + 4))])
    return message


def _fill(draw: st.DrawFn, message: Any, field: FieldDescriptor, depth: int) -> None:
    name = field.name
    if plan.is_map(field):
        value = field.message_type.fields_by_name["value"]
        for key in draw(st.lists(_words, max_size=2, unique=True)):
            if value.message_type is None:
                getattr(message, name)[key] = draw(_scalars[value.type])
            else:
                getattr(message, name)[key].CopyFrom(draw(messages(value.message_type, depth + 1)))
    elif field.is_repeated:
        for _ in range(draw(st.integers(0, 2))):
            if field.message_type is None:
                getattr(message, name).append(draw(_scalars[field.type]))
            else:
                getattr(message, name).add().CopyFrom(draw(messages(field.message_type, depth + 1)))
    elif field.message_type is not None:
        _fill_message(draw, message, field, depth)
    else:
        drawn = draw(_scalars[field.type])
        if drawn or field.GetOptions().Extensions[options.field].pointer:
            setattr(message, name, drawn)


def _fill_message(draw: st.DrawFn, message: Any, field: FieldDescriptor, depth: int) -> None:
    drawn = draw(messages(field.message_type, depth + 1))
    facts = field.GetOptions().Extensions[options.field]
    shape = plan.format_of(field.message_type)
    zero = shape in (options.FORMAT_QUANTITY, options.FORMAT_INT_OR_STRING) and drawn in _zeros(field)
    # Without a pointer, zero and absent are one: absent is the form that is kept.
    if facts.pointer or (drawn.ListFields() and not zero):
        getattr(message, field.name).CopyFrom(drawn)
        if facts.pointer:
            getattr(message, field.name).SetInParent()


def _zeros(field: FieldDescriptor) -> list[Any]:
    cls = plan.message_class(field.message_type)
    if plan.format_of(field.message_type) == options.FORMAT_QUANTITY:
        return [cls(string="0")]
    return [cls(type=0, int_val=0)]
