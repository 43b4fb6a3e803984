"""What of a message is owned as a whole, and what is owned piece by piece.

Lists say it in their field options; a few messages and maps are owned as a whole though they have parts (Kubernetes
marks them `structType=atomic` and `mapType=atomic`): they stand here.
"""

from __future__ import annotations

import enum
import functools
import json
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.descriptor import Descriptor
from raftsman.codec import plan
from raftsman.options import v1 as options

ATOMIC_MESSAGES = frozenset({
    "raftsman.meta.v1.LabelSelector",
    "raftsman.core.v1.ConfigMapKeySelector", "raftsman.core.v1.FileKeySelector",
    "raftsman.core.v1.LocalObjectReference", "raftsman.core.v1.NodeSelector", "raftsman.core.v1.NodeSelectorTerm",
    "raftsman.core.v1.ObjectFieldSelector", "raftsman.core.v1.ObjectReference",
    "raftsman.core.v1.ResourceFieldSelector", "raftsman.core.v1.ScopedResourceSelectorRequirement",
    "raftsman.core.v1.ScopeSelector", "raftsman.core.v1.SecretKeySelector", "raftsman.core.v1.SecretReference",
    "raftsman.core.v1.TopologySelectorTerm", "raftsman.core.v1.TypedLocalObjectReference",
    "raftsman.autoscaling.v1.CrossVersionObjectReference", "raftsman.meta.v1.OwnerReference",
    "raftsman.rbac.v1.RoleRef", "raftsman.rbac.v1.Subject", "raftsman.discovery.v1.EndpointPort",
})  # fmt: skip
ATOMIC_MAPS = frozenset({
    ("raftsman.core.v1.PodSpec", "nodeSelector"),
    ("raftsman.core.v1.ServiceSpec", "selector"),
    ("raftsman.core.v1.ReplicationControllerSpec", "selector"),
    ("raftsman.discovery.v1.Endpoint", "deprecatedTopology"),
})  # fmt: skip


class Structure(Protocol):
    """The fields of what has no message."""

    def named(self, name: str) -> Shape | None:
        """The field of that name; None if there can be none."""


class Kind(enum.Enum):
    """How a field's value is owned."""

    LEAF = 0
    STRUCT = 1
    MAP = 2
    SET = 3
    KEYED = 4


@dataclass(frozen=True, slots=True)
class Key:
    """One field that identifies an item, always a scalar; `default` stands for it where it is left out."""

    name: str
    read: Callable[[Any], Any]
    default: Any


@dataclass(frozen=True, slots=True)
class Shape:
    """One field. `message` describes a struct, or a map's values or a list's items that are owned field by field.

    `keys` are what identifies a keyed list's items.
    """

    name: str
    attribute: str
    kind: Kind
    message: Source | None = None
    keys: tuple[Key, ...] = ()
    pointer: bool = False
    always: bool = False
    inline: bool = False

    @property
    def element(self) -> str:
        return f"f:{self.name}"


Source = Descriptor | Structure
"""Where the fields of a struct are found: a message's descriptor, or a schema."""


def named(source: Source, name: str) -> Shape | None:
    """The field of that JSON name; None if there is none."""
    return by_name(source).get(name) if isinstance(source, Descriptor) else source.named(name)


def granular(descriptor: Descriptor | None) -> bool:
    """Whether a message's fields are owned one by one."""
    return (
        descriptor is not None
        and not plan.format_of(descriptor)
        and descriptor.full_name not in ATOMIC_MESSAGES
        and bool(descriptor.fields)
    )


@functools.cache
def by_number(descriptor: Descriptor) -> dict[int, Shape]:
    """The fields of a message by number; an inlined message is one, marked so."""
    found = {}
    for field in descriptor.fields:
        facts = field.GetOptions().Extensions[options.field]
        if facts.inline:
            message = plan.message_of(field)
            found[field.number] = Shape(field.json_name, field.name, Kind.STRUCT, message, inline=True)
        else:
            found[field.number] = _shape(descriptor, plan.field_of(field))
    return found


@functools.cache
def by_name(descriptor: Descriptor) -> dict[str, Shape]:
    """The fields of a message by JSON name, those of inlined messages among them."""
    return {name: _shape(descriptor, field) for name, field in plan.fields(descriptor).items()}


def _shape(owner: Descriptor, field: plan.Field) -> Shape:
    name, attribute, facts = field.json_name, field.attribute, field.facts
    inner = field.message if granular(field.message) else None
    kind, keys = Kind.LEAF, ()
    if field.shape is plan.Shape.SINGLE:
        kind = Kind.STRUCT if inner is not None else Kind.LEAF
    elif field.shape is plan.Shape.MAP:
        kind = Kind.LEAF if (owner.full_name, name) in ATOMIC_MAPS else Kind.MAP
    elif facts.list_type == options.LIST_TYPE_SET:
        kind = Kind.SET
    elif facts.list_type == options.LIST_TYPE_MAP and field.message is not None:
        kind = Kind.KEYED
        keys = tuple(_key(field.message, key) for key in facts.list_map_keys)  # type: ignore[assignment]
    return Shape(name, attribute, kind, inner, keys, pointer=facts.pointer, always=facts.always)


def _key(message: Descriptor, name: str) -> Key:
    field = plan.fields(message)[name]
    read = operator.attrgetter(".".join((*field.hops, field.attribute)))
    return Key(name, read, json.loads(field.facts.default) if field.facts.default else None)
