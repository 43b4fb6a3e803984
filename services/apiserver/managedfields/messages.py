"""The fields of a message, and what differs between two: without making JSON of them.

Two equal parts are told by one comparison of protobuf's own, so that a small change in a large object costs little.
"""

from __future__ import annotations

from typing import Any

from .sets import EMPTY, LEAF, FieldSet, item_key, set_item
from .shapes import Kind, Shape, by_number


def fields(message: Any) -> FieldSet:
    """Every field that is set: leaves, items, and what has no parts."""
    return FieldSet(children=_children(message))


def _children(message: Any) -> dict[str, FieldSet]:
    found: dict[str, FieldSet] = {}
    shapes = by_number(message.DESCRIPTOR)
    for field, value in message.ListFields():
        shape = shapes[field.number]
        if shape.inline:
            found.update(_children(value))
        elif shape.pointer or value or shape.kind is Kind.STRUCT:
            found[shape.element] = _whole(shape, value)
    return found


def _whole(shape: Shape, value: Any) -> FieldSet:
    """A field that was not there before: where JSON has nothing for an empty one, the field itself is new too."""
    found = _of(shape, value)
    if shape.always or shape.kind is Kind.LEAF or (shape.kind is Kind.STRUCT and not shape.pointer):
        return found
    return FieldSet(member=True, children=found.children)


def _of(shape: Shape, value: Any) -> FieldSet:
    kind = shape.kind
    if kind is Kind.LEAF:
        return LEAF
    if kind is Kind.STRUCT:
        return _struct(value)
    if kind is Kind.MAP:
        inner = LEAF if shape.message is None else None
        return FieldSet(children={f"f:{key}": inner or _struct(value[key]) for key in value})
    if kind is Kind.SET:
        return FieldSet(children={set_item(one): LEAF for one in value})
    items = keyed(shape, value)
    if shape.message is None:
        return FieldSet(children=dict.fromkeys(items, LEAF))
    return FieldSet(children={key: _item(one) for key, one in items.items()})


def _struct(message: Any) -> FieldSet:
    children = _children(message)
    return FieldSet(children=children) if children else LEAF


def _item(message: Any) -> FieldSet:
    return FieldSet(member=True, children=_children(message))


def keyed(shape: Shape, items: Any) -> dict[str, Any]:
    """A keyed list's items by their path elements; of doubled keys the last stands."""
    keys = shape.keys
    return {item_key({key.name: key.read(item) or key.default for key in keys}): item for item in items}


class Changes:
    """What differs between two messages of one type, as three sets."""

    __slots__ = ("added", "changed", "removed")

    def __init__(self) -> None:
        self.added: FieldSet = EMPTY
        self.changed: FieldSet = EMPTY
        self.removed: FieldSet = EMPTY


def compared(old: Any, new: Any) -> Changes:
    """What an update from old to new adds, changes and removes."""
    found = Changes()
    builders: tuple[dict[str, FieldSet], dict[str, FieldSet], dict[str, FieldSet]] = ({}, {}, {})
    _compare(old, new, *builders)
    found.added, found.changed, found.removed = (FieldSet(children=children) for children in builders)
    return found


_Children = dict[str, FieldSet]


def _compare(old: Any, new: Any, added: _Children, changed: _Children, removed: _Children) -> None:
    if old == new:
        return
    shapes = by_number(new.DESCRIPTOR)
    before = {field.number: value for field, value in old.ListFields()}
    after = {field.number: value for field, value in new.ListFields()}
    for number in before.keys() | after.keys():
        shape = shapes[number]
        if shape.inline:
            _compare(getattr(old, shape.attribute), getattr(new, shape.attribute), added, changed, removed)
            continue
        was, is_ = _present(shape, before.get(number)), _present(shape, after.get(number))
        _compare_field(shape, was, is_, added, changed, removed)


def _present(shape: Shape, value: Any) -> Any:
    """The value, None if JSON would leave it out."""
    return value if value is not None and (shape.pointer or shape.kind is Kind.STRUCT or value) else None


def _compare_field(shape: Shape, was: Any, is_: Any, added: _Children, changed: _Children, removed: _Children) -> None:
    element = shape.element
    if was is None or is_ is None:
        if is_ is not None:
            added[element] = _whole(shape, is_)
        elif was is not None:
            removed[element] = _whole(shape, was)
        return
    if shape.kind is Kind.LEAF:
        if not _same(was, is_):
            changed[element] = LEAF
        return
    if shape.kind is Kind.STRUCT:
        _nested(element, was, is_, added, changed, removed)
        return
    _compare_items(shape, _items(shape, was), _items(shape, is_), added, changed, removed)


def _same(was: Any, is_: Any) -> bool:
    return bool(was == is_)


def _items(shape: Shape, value: Any) -> dict[str, Any]:
    if shape.kind is Kind.MAP:
        return {f"f:{key}": value[key] for key in value}
    if shape.kind is Kind.SET:
        return {set_item(one): one for one in value}
    return keyed(shape, value)


def _compare_items(
    shape: Shape, was: dict[str, Any], is_: dict[str, Any], added: _Children, changed: _Children, removed: _Children
) -> None:
    more: _Children = {}
    other: _Children = {}
    fewer: _Children = {}
    whole = _item if shape.kind is Kind.KEYED else _struct
    for key in was.keys() | is_.keys():
        before, after = was.get(key), is_.get(key)
        if before is None or after is None:
            into, item = (more, after) if before is None else (fewer, before)
            into[key] = LEAF if shape.message is None else whole(item)
        elif shape.message is not None:
            _nested(key, before, after, more, other, fewer)
        elif before != after:
            other[key] = LEAF
    for into, children in ((added, more), (changed, other), (removed, fewer)):
        if children:
            into[shape.element] = FieldSet(children=children)


def _nested(element: str, was: Any, is_: Any, added: _Children, changed: _Children, removed: _Children) -> None:
    more: _Children = {}
    other: _Children = {}
    fewer: _Children = {}
    _compare(was, is_, more, other, fewer)
    for into, children in ((added, more), (changed, other), (removed, fewer)):
        if children:
            into[element] = FieldSet(children=children)
