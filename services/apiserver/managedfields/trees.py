"""JSON trees and their fields: what an applied configuration owns, what comes out of merging it, what is pruned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .sets import LEAF, FieldSet, item_key, set_item
from .shapes import Kind, Shape, Source, named


def fields(tree: Mapping[str, Any], source: Source) -> FieldSet:
    """Every field that a configuration names, zeros and nulls too. Names that are no fields are left out."""
    children = {}
    for name, value in tree.items():
        shape = named(source, name)
        if shape is not None:
            children[shape.element] = _of(shape, value)
    return FieldSet(children=children)


def _of(shape: Shape, value: Any) -> FieldSet:
    if value is None or shape.kind is Kind.LEAF or not value:
        return LEAF
    if shape.kind is Kind.STRUCT and isinstance(value, Mapping):
        return _struct(value, shape.message)
    if shape.kind is Kind.MAP and isinstance(value, Mapping):
        return FieldSet(children={f"f:{key}": _struct(one, shape.message) for key, one in value.items()})
    if shape.kind is Kind.SET and isinstance(value, list):
        return FieldSet(children={set_item(one): LEAF for one in value})
    if shape.kind is Kind.KEYED and isinstance(value, list):
        items = keyed(shape, value)
        if shape.message is None:
            return FieldSet(children=dict.fromkeys(items, LEAF))
        return FieldSet(
            children={
                key: FieldSet(member=True, children=fields(one, shape.message).children) for key, one in items.items()
            }
        )
    return LEAF


def _struct(value: Any, source: Source | None) -> FieldSet:
    if source is None or not isinstance(value, Mapping):
        return LEAF
    return fields(value, source) or LEAF


def keyed(shape: Shape, items: list[Any]) -> dict[str, Any]:
    """A keyed list's items by their path elements. ValueError if two have the same keys, or one has none."""
    found: dict[str, Any] = {}
    for place, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise ValueError(f"{shape.name}[{place}] is no object")
        keys = {key.name: item.get(key.name, key.default) for key in shape.keys}
        if all(value is None for value in keys.values()):
            raise ValueError(f"{shape.name}[{place}]: {', '.join(keys)} is needed to tell it from the others")
        element = item_key(keys)
        if element in found:
            raise ValueError(f"{shape.name}[{place}] has the same keys as another: {element[2:]}")
        found[element] = item
    return found


_JSON_TYPES: dict[Kind, type[Any]] = {
    Kind.STRUCT: Mapping, Kind.MAP: Mapping, Kind.SET: list, Kind.KEYED: list
}  # fmt: skip


def merged(live: Any, applied: Any, source: Source) -> dict[str, Any]:
    """A configuration laid over what is there: what it names is as it says, all else stays."""
    out = dict(live)
    for name, value in applied.items():
        shape = named(source, name)
        if shape is None or name not in out or out[name] is None:
            out[name] = value
        else:
            out[name] = _merged_value(shape, out[name], value)
    return out


def _merged_value(shape: Shape, live: Any, applied: Any) -> Any:
    # A value of another type than the field's goes on as it is: decoding tells what is wrong with it.
    types = _JSON_TYPES.get(shape.kind)
    if types is None or not isinstance(applied, types) or not isinstance(live, types):
        return applied
    if shape.kind is Kind.STRUCT:
        assert shape.message is not None
        return merged(live, applied, shape.message)
    if shape.kind is Kind.MAP:
        return {**live, **{key: _merged_entry(shape, live.get(key), one) for key, one in applied.items()}}
    if shape.kind is Kind.SET:
        return [*applied, *(one for one in live if one not in applied)]
    return _merged_list(shape, live, applied)


def _merged_entry(shape: Shape, live: Any, applied: Any) -> Any:
    if shape.message is None or not isinstance(live, Mapping) or not isinstance(applied, Mapping):
        return applied
    return merged(live, applied, shape.message)


def _merged_list(shape: Shape, live: list[Any], applied: list[Any]) -> list[Any]:
    """The configuration's items in its order, and the others where they stood before."""
    theirs, ours = keyed(shape, live), keyed(shape, applied)
    result: list[Any] = []
    waiting = list(ours)
    for key, item in theirs.items():
        if key not in ours:
            result.append(item)
            continue
        while waiting and waiting[0] != key and waiting[0] not in theirs:
            result.append(ours[waiting.pop(0)])
        if key in waiting:
            waiting.remove(key)
        result.append(_merged_entry(shape, item, ours[key]))
    return result + [ours[key] for key in waiting]


def pruned(tree: dict[str, Any], gone: FieldSet, source: Source) -> dict[str, Any]:
    """The tree without the fields in `gone`."""
    out = dict(tree)
    for element, below in gone.children.items():
        name = element[2:]
        shape = named(source, name) if element.startswith("f:") else None
        if shape is None or name not in out:
            continue
        value = _pruned_value(shape, out[name], below)
        if value is None:
            del out[name]
        else:
            out[name] = value
    return out


def _pruned_value(shape: Shape, value: Any, gone: FieldSet) -> Any:
    """None if nothing is left."""
    if gone.member and not gone.children:
        return None
    if shape.kind is Kind.STRUCT and isinstance(value, Mapping) and shape.message is not None:
        return pruned(dict(value), gone, shape.message)
    if shape.kind is Kind.MAP and isinstance(value, Mapping):
        return _pruned_map(shape, value, gone)
    if shape.kind is Kind.SET and isinstance(value, list):
        return [one for one in value if set_item(one) not in gone.children] or None
    if shape.kind is Kind.KEYED and isinstance(value, list):
        return _pruned_list(shape, value, gone) or None
    return value


def _pruned_map(shape: Shape, value: Mapping[str, Any], gone: FieldSet) -> dict[str, Any] | None:
    left = {}
    for key, one in value.items():
        below = gone.children.get(f"f:{key}")
        if below is None:
            left[key] = one
        elif not below.member and shape.message is not None and isinstance(one, Mapping):
            left[key] = pruned(dict(one), below, shape.message)
    return left or None


def _pruned_list(shape: Shape, value: list[Any], gone: FieldSet) -> list[Any]:
    left = []
    for key, item in keyed(shape, value).items():
        below = gone.children.get(key)
        if below is None:
            left.append(item)
        elif not below.member and shape.message is not None:
            left.append(pruned(dict(item), below, shape.message))
    return left
