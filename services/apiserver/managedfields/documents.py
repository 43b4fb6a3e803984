"""The fields of a document, and what differs between two: its metadata a message, the rest JSON with a schema.

A schema says what is owned as a whole. What no schema describes is owned field by field where it is an object, and as
a whole where it is a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from raftsman.meta import v1 as meta

from . import messages
from .messages import Changes
from .sets import EMPTY, LEAF, FieldSet, set_item
from .shapes import Key, Kind, Shape, Structure
from .trees import keyed

if TYPE_CHECKING:
    from raftsman.services.apiserver.custom.schema import Schema

_METADATA = Shape("metadata", "metadata", Kind.STRUCT, meta.ObjectMeta.DESCRIPTOR)
_METADATA_ELEMENT = "f:metadata"


class Fields:
    """The fields of an object of a schema; None describes anything."""

    def __init__(self, schema: Schema | None) -> None:
        self._schema = schema
        self._known: dict[str, Shape] = {}
        self._other: Fields | None = None

    def named(self, name: str) -> Shape | None:
        found = self._known.get(name)
        if found is None:
            schema = self._schema.properties.get(name) if self._schema is not None else None
            if schema is None:
                return self._unnamed(name)
            found = self._known[name] = _shape(name, schema, Fields(schema))
        return found

    def _unnamed(self, name: str) -> Shape | None:
        """A key of a map, or a field that the schema does not know."""
        schema = self._schema
        if schema is None:
            return Shape(name, name, Kind.STRUCT, self)
        if schema.additional is not None:
            self._other = self._other or Fields(schema.additional)
            return _shape(name, schema.additional, self._other)
        if schema.any_additional or schema.preserve or schema.embedded:
            return Shape(name, name, Kind.STRUCT, ANYTHING)
        return None


class Root(Fields):
    """The fields of a whole object."""

    def named(self, name: str) -> Shape | None:
        return _METADATA if name == "metadata" else super().named(name)


ANYTHING = Fields(None)


def _shape(name: str, schema: Schema, own: Fields) -> Shape:
    if schema.items is not None or schema.type == "array":
        return _list(name, schema)
    if schema.map_type == "atomic" or schema.int_or_string or schema.type in ("string", "integer", "number", "boolean"):
        return Shape(name, name, Kind.LEAF)
    return Shape(name, name, Kind.STRUCT, own)


def _list(name: str, schema: Schema) -> Shape:
    if schema.list_type == "set":
        return Shape(name, name, Kind.SET)
    if schema.list_type == "map" and schema.items is not None:
        keys = tuple(_key(schema, key) for key in schema.list_keys)
        return Shape(name, name, Kind.KEYED, Fields(schema.items), keys)
    return Shape(name, name, Kind.LEAF)


def _key(schema: Schema, name: str) -> Key:
    return Key(name, lambda item: item.get(name), schema.key_default(name))


Halves = tuple[meta.ObjectMeta, Mapping[str, Any]]


def fields(metadata: meta.ObjectMeta, content: Mapping[str, Any], root: Root) -> FieldSet:
    """Every field that is set."""
    inner = messages.fields(metadata)
    return FieldSet(children={_METADATA_ELEMENT: inner, **_children(content, root)})


def _children(value: Mapping[str, Any], source: Structure) -> dict[str, FieldSet]:
    found = {}
    for name, inner in value.items():
        shape = source.named(name)
        if shape is not None:
            found[shape.element] = _whole(shape, inner)
    return found


def _whole(shape: Shape, value: Any) -> FieldSet:
    source = shape.message
    if shape.kind is Kind.STRUCT and isinstance(value, Mapping) and isinstance(source, Fields):
        return FieldSet(member=True, children=_children(value, source))
    if isinstance(value, list) and shape.kind in (Kind.SET, Kind.KEYED):
        return FieldSet(member=True, children={key: _item(shape, item) for key, item in _items(shape, value).items()})
    return LEAF


def _item(shape: Shape, item: Any) -> FieldSet:
    if isinstance(item, Mapping) and isinstance(shape.message, Fields):
        return FieldSet(member=True, children=_children(item, shape.message))
    return LEAF


def _items(shape: Shape, value: list[Any]) -> dict[str, Any]:
    if shape.kind is Kind.SET:
        return {set_item(one): one for one in value}
    try:
        return keyed(shape, value)
    except ValueError:
        # Validation tells what is wrong with the list; until then nobody owns its parts.
        return {}


_Children = dict[str, FieldSet]


def compared(old: Halves, new: Halves, root: Root) -> Changes:
    """What an update from old to new adds, changes and removes."""
    inner = messages.compared(old[0], new[0])
    added, changed, removed = (
        {_METADATA_ELEMENT: part} if part else {} for part in (inner.added, inner.changed, inner.removed)
    )
    _compare(old[1], new[1], root, (added, changed, removed))
    found = Changes()
    found.added, found.changed, found.removed = (
        FieldSet(children=children) if children else EMPTY for children in (added, changed, removed)
    )
    return found


_Builders = tuple[_Children, _Children, _Children]


def _compare(old: Mapping[str, Any], new: Mapping[str, Any], source: Structure, into: _Builders) -> None:
    for name in old.keys() | new.keys():
        shape = source.named(name)
        if shape is None:
            continue
        if name not in old:
            into[0][shape.element] = _whole(shape, new[name])
        elif name not in new:
            into[2][shape.element] = _whole(shape, old[name])
        elif not same(old[name], new[name]):
            _differ(shape, shape.element, old[name], new[name], into)


def same(one: Any, other: Any) -> bool:
    """Equality of JSON: true is no 1, and 1.0 is 1."""
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _differ(shape: Shape, element: str, old: Any, new: Any, into: _Builders) -> None:
    """Two values of one place that are not the same."""
    inner: _Builders = ({}, {}, {})
    source = shape.message
    if isinstance(old, Mapping) and isinstance(new, Mapping) and shape.kind in (Kind.STRUCT, Kind.KEYED):
        assert isinstance(source, Fields)
        _compare(old, new, source, inner)
    elif isinstance(old, list) and isinstance(new, list) and shape.kind in (Kind.SET, Kind.KEYED):
        _compare_items(shape, _items(shape, old), _items(shape, new), inner)
    else:
        into[1][element] = LEAF
        return
    for target, children in zip(into, inner, strict=True):
        if children:
            target[element] = FieldSet(children=children)


def _compare_items(shape: Shape, old: dict[str, Any], new: dict[str, Any], into: _Builders) -> None:
    for key in old.keys() | new.keys():
        if key not in old:
            into[0][key] = _item(shape, new[key])
        elif key not in new:
            into[2][key] = _item(shape, old[key])
        elif not same(old[key], new[key]):
            _differ(shape, key, old[key], new[key], into)
