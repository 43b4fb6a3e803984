"""What Go's clients and servers write as protobuf is the same object here, and the same JSON.

Go writes every scalar and sub-message that is no pointer, zero or not, but no bytes that are nil; `as_go_writes` does
so to a message.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raftsman import codec, resources
from raftsman.codec import plan
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.options import v1 as options

from .strategies import messages

KINDS = [resource for resource in resources.known() if resource.service]


def as_go_writes(message: Any) -> Any:
    """A copy in which everything is said that Go says."""
    copy = type(message)()
    copy.CopyFrom(message)
    _say(copy)
    return copy


def _say(message: Any) -> None:
    shape = plan.format_of(message.DESCRIPTOR)
    if shape == options.FORMAT_QUANTITY:
        message.string = message.string or "0"
        return
    if shape in (options.FORMAT_TIME, options.FORMAT_MICRO_TIME):
        return
    for field in message.DESCRIPTOR.fields:
        if plan.is_map(field):
            values = getattr(message, field.name)
            if plan.map_value(field).message_type is not None:
                for key in values:
                    _say(values[key])
        elif field.is_repeated:
            if field.message_type is not None:
                for one in getattr(message, field.name):
                    _say(one)
        elif field.message_type is not None:
            if not _pointer(field):
                getattr(message, field.name).SetInParent()
            if message.HasField(field.name):
                _say(getattr(message, field.name))
        elif field.type != FieldDescriptor.TYPE_BYTES and not _pointer(field) and not message.HasField(field.name):
            setattr(message, field.name, field.default_value)


def _pointer(field: FieldDescriptor) -> bool:
    return plan.field_facts(field).pointer or plan.format_of(field.containing_type) in (
        options.FORMAT_SCHEMA_OR_ARRAY, options.FORMAT_SCHEMA_OR_BOOL, options.FORMAT_SCHEMA_OR_STRINGS,
    )  # fmt: skip


@pytest.mark.parametrize("resource", KINDS, ids=lambda r: r.qualified)
@given(data=st.data())
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_go_writes_is_the_same_object(resource: resources.Resource, data: st.DataObject) -> None:
    message: Any = data.draw(messages(resource.message.DESCRIPTOR))
    written = type(message).FromString(as_go_writes(message).SerializeToString())
    raw = message.SerializeToString(deterministic=True)
    assert resource.message.FromString(raw).SerializeToString(deterministic=True) == raw
    value = codec.to_json(message)
    assert codec.to_json(written) == value
    assert codec.from_json(codec.to_json(written), resource.message).message == message


def _descriptors() -> Iterator[Descriptor]:
    """Every message that a served kind has anywhere in it."""
    waiting: list[Descriptor] = [one.message.DESCRIPTOR for one in KINDS]
    seen: set[str] = set()
    while waiting:
        descriptor = waiting.pop()
        if descriptor.full_name in seen:
            continue
        seen.add(descriptor.full_name)
        yield descriptor
        for field in descriptor.fields:
            if field.message_type is not None:
                inner = plan.map_value(field) if plan.is_map(field) else field
                waiting += [inner.message_type] if inner.message_type is not None else []


def test_an_empty_message_says_what_go_says_of_an_empty_struct() -> None:
    """null for lists, maps and times, "" 0 false for scalars, {} for structs; nothing for what may be left out."""
    checked = 0
    for descriptor in _descriptors():
        if plan.format_of(descriptor):
            continue
        value = codec.to_json(plan.message_class(descriptor)(), type_meta=False)
        expected = dict(_of_an_empty_struct(descriptor))
        assert value == expected, descriptor.full_name
        assert list(json.loads(json.dumps(value))) == list(value)
        checked += 1
    assert checked > 400


def _of_an_empty_struct(descriptor: Descriptor) -> Iterator[tuple[str, Any]]:
    for field in descriptor.fields:
        facts = plan.field_facts(field)
        if facts.inline:
            yield from _of_an_empty_struct(plan.message_of(field))
        elif field.is_repeated or facts.pointer:
            if facts.always:
                yield field.json_name, None
        elif field.message_type is not None:
            if field.json_name != "creationTimestamp" or descriptor.name != "ObjectMeta":
                yield field.json_name, _zero_of(field.message_type)
        elif facts.always:
            zero = {FieldDescriptor.TYPE_STRING: "", FieldDescriptor.TYPE_BOOL: False, FieldDescriptor.TYPE_BYTES: None}
            yield field.json_name, zero.get(field.type, 0)


def _zero_of(descriptor: Descriptor) -> Any:
    zeros: dict[int, Any] = {
        options.FORMAT_QUANTITY: "0", options.FORMAT_INT_OR_STRING: 0, options.FORMAT_TIME: None,
        options.FORMAT_MICRO_TIME: None, options.FORMAT_RAW_JSON: None, options.FORMAT_DURATION: "0s",
    }  # fmt: skip
    shape = plan.format_of(descriptor)
    return zeros[shape] if shape in zeros else dict(_of_an_empty_struct(descriptor))


@given(st.dictionaries(st.text(max_size=6), st.text(max_size=4), max_size=6))
def test_maps_are_in_the_order_of_their_keys_bytes(labels: dict[str, str]) -> None:
    config = core.ConfigMap(data=labels)
    assert list(codec.to_json(config).get("data", {})) == sorted(labels, key=str.encode)


def test_int_or_string_and_quantities_of_go_are_theirs() -> None:
    port = meta.IntOrString.FromString(b"\x08\x00\x10\x50\x1a\x00")
    assert port.int_val == 80
    service = core.Service()
    service.spec.ports.add(port=80, target_port=port)
    assert codec.to_json(service)["spec"]["ports"] == [{"port": 80, "targetPort": 80}]
