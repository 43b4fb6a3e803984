"""What the descriptors and options say of a message type, gathered once: fields by JSON name, formats, kinds.

Shared by the codec, the patch engines and the printers. Everything here is immutable after the first look.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf import message as protobuf
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from raftsman.options import v1 as options

MESSAGE = FieldDescriptor.TYPE_MESSAGE


class Shape(enum.Enum):
    SINGLE = 0
    LIST = 1
    MAP = 2


@dataclass(frozen=True, slots=True)
class Field:
    """One JSON key of a message. `hops` are the attributes of inlined messages above it, outermost first."""

    attribute: str
    json_name: str
    shape: Shape
    scalar: int
    message: Descriptor | None
    facts: options.FieldFacts
    hops: tuple[str, ...] = ()

    @property
    def pointer(self) -> bool:
        return self.facts.pointer

    @property
    def always(self) -> bool:
        return self.facts.always


def _message_facts(descriptor: Descriptor) -> options.MessageFacts:
    found: options.MessageFacts = descriptor.GetOptions().Extensions[options.message]
    return found


@functools.cache
def format_of(descriptor: Descriptor) -> int:
    """The Format option of a message type; 0 for an object of its fields."""
    return int(_message_facts(descriptor).format)


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def map_value(field: FieldDescriptor) -> FieldDescriptor:
    """The field of a map's values."""
    return message_of(field).fields_by_name["value"]


def message_of(field: FieldDescriptor) -> Descriptor:
    """The message type of a field that has one."""
    assert field.message_type is not None, f"{field.full_name} is no message"
    return field.message_type


def field_facts(field: FieldDescriptor) -> options.FieldFacts:
    """The options of a field."""
    found: options.FieldFacts = field.GetOptions().Extensions[options.field]
    return found


def field_of(field: FieldDescriptor, hops: tuple[str, ...] = ()) -> Field:
    """The plan of one field."""
    value = map_value(field) if is_map(field) else field
    shape = Shape.MAP if value is not field else Shape.LIST if field.is_repeated else Shape.SINGLE
    return Field(field.name, field.json_name, shape, value.type, value.message_type, field_facts(field), hops)


@functools.cache
def fields(descriptor: Descriptor) -> Mapping[str, Field]:
    """The fields of a message by JSON name, those of inlined messages among them."""
    found: dict[str, Field] = {}
    for field in descriptor.fields:
        if field_facts(field).inline:
            for inner in fields(message_of(field)).values():
                hops = (field.name, *inner.hops)
                found[inner.json_name] = Field(
                    inner.attribute, inner.json_name, inner.shape, inner.scalar, inner.message, inner.facts, hops
                )
        else:
            found[field.json_name] = field_of(field)
    return found


# Kinds of the API that are no resources of their own.
_OTHER_KINDS = {
    "raftsman.meta.v1.Status": ("v1", "Status"),
    "raftsman.meta.v1.List": ("v1", "List"),
    "raftsman.autoscaling.v1.Scale": ("autoscaling/v1", "Scale"),
    "raftsman.authentication.v1.TokenRequest": ("authentication.k8s.io/v1", "TokenRequest"),
    "raftsman.core.v1.PodAttachOptions": ("v1", "PodAttachOptions"),
    "raftsman.core.v1.PodExecOptions": ("v1", "PodExecOptions"),
    "raftsman.core.v1.PodPortForwardOptions": ("v1", "PodPortForwardOptions"),
}


@functools.cache
def type_meta(descriptor: Descriptor) -> tuple[str, str] | None:
    """(apiVersion, kind) of a kind's message or its list's; None for a message that is no kind."""
    facts = _message_facts(descriptor)
    if facts.HasField("resource"):
        group, version = facts.resource.group, facts.resource.version
        return (f"{group}/{version}" if group else version), facts.resource.kind
    if descriptor.full_name in _OTHER_KINDS:
        return _OTHER_KINDS[descriptor.full_name]
    items = descriptor.fields_by_name.get("items")
    if descriptor.name.endswith("List") and items is not None and items.message_type is not None:
        item = type_meta(items.message_type)
        return item and (item[0], f"{item[1]}List")
    return None


def is_whole_object(field: FieldDescriptor) -> bool:
    """Whether a field holds objects with apiVersion and kind: a stateful set's claims, not the items of a list."""
    return (
        field.message_type is not None
        and field.name != "items"
        and _message_facts(field.message_type).HasField("resource")
    )


@functools.cache
def message_class(descriptor: Descriptor) -> type[protobuf.Message]:
    """The Python class of a message type."""
    found: type[protobuf.Message] = message_factory.GetMessageClass(descriptor)
    return found
