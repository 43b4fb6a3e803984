"""Applying a strategic merge patch.

Objects merge key by key and null removes, as in RFC 7386. Lists that the schema merges do so by their merge key, or as
a set; others are replaced. Directives: `$patch: replace|delete|merge`, `$retainKeys`, `$setElementOrder/FIELD`,
`$deleteFromPrimitiveList/FIELD`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from raftsman import errors

from .json import equal
from .schema import (
    DELETE_PRIMITIVES,
    PATCH,
    RETAIN_KEYS,
    SET_ORDER,
    Schema,
    is_directive,
    of_message,
    without_directives,
)

DEPTH_MAX = 200


def strategic_merge(original: Mapping[str, Any], patch: Mapping[str, Any], message: type[Any] | None) -> dict[str, Any]:
    """The object after the patch; `message` (a protobuf message class) is the schema, or None for no schema."""
    if not isinstance(patch, Mapping):
        raise errors.BadRequest("a strategic merge patch is an object")
    return _object(dict(original), patch, of_message(message), "")


def _wrong(path: str, why: str) -> errors.BadRequest:
    return errors.BadRequest(
        f"strategic merge patch: {path or 'the patch'}: {why}",
        causes=(errors.Cause(path, "FieldValueInvalid", why),),
    )


def _object(original: Mapping[str, Any], patch: Mapping[str, Any], schema: Schema, path: str) -> dict[str, Any]:
    if path.count(".") > DEPTH_MAX:
        raise _wrong("", f"nested more than {DEPTH_MAX} levels deep")
    match patch.get(PATCH):
        case "replace":
            return copy.deepcopy({key: value for key, value in patch.items() if key != PATCH})
        case "delete":
            return {}
        case None | "merge":
            pass
        case other:
            raise _wrong(_at(path, PATCH), f"must be replace, merge or delete, not {other!r}")
    result = _retained(original, patch, path)
    for key, value in patch.items():
        if is_directive(key):
            continue
        if value is None:
            result.pop(key, None)
            continue
        result[key] = _merged(result, key, patch, schema.field(key), _at(path, key))
    _orphan_directives(result, patch, schema, path)
    return result


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _retained(original: Mapping[str, Any], patch: Mapping[str, Any], path: str) -> dict[str, Any]:
    retain = patch.get(RETAIN_KEYS)
    if retain is None:
        return dict(original)
    if not isinstance(retain, list):
        raise _wrong(_at(path, RETAIN_KEYS), "must be a list of keys")
    for key, value in patch.items():
        if key not in retain and value is not None and not is_directive(key):
            raise _wrong(_at(path, key), f"is in the patch but not in {RETAIN_KEYS}")
    return {key: value for key, value in original.items() if key in retain}


def _merged(result: Mapping[str, Any], key: str, patch: Mapping[str, Any], schema: Schema, path: str) -> Any:
    value, old = patch[key], result.get(key)
    if isinstance(value, Mapping):
        if isinstance(old, Mapping) and not schema.replaces:
            return _object(old, value, schema, path)
        return without_directives(value)
    if not isinstance(value, list):
        return value
    if not schema.merges or not isinstance(old, list):
        return without_directives(value) if schema.merges else copy.deepcopy(value)
    order = _listed(patch, SET_ORDER + key, path)
    if schema.key:
        return _keyed(old, value, order, schema, path)
    return _set(old, value, order, _listed(patch, DELETE_PRIMITIVES + key, path) or [])


def _listed(patch: Mapping[str, Any], directive: str, path: str) -> list[Any] | None:
    found = patch.get(directive)
    if found is not None and not isinstance(found, list):
        raise _wrong(path, f"{directive} must be a list")
    return found


def _orphan_directives(result: dict[str, Any], patch: Mapping[str, Any], schema: Schema, path: str) -> None:
    """Directives about a list that the patch does not otherwise name."""
    for directive in patch:
        for prefix in (SET_ORDER, DELETE_PRIMITIVES):
            key = directive.removeprefix(prefix)
            if key == directive or key in patch or not isinstance(result.get(key), list):
                continue
            field, at = schema.field(key), _at(path, key)
            if not field.merges:
                raise _wrong(at, f"{prefix[:-1]} needs a list that merges")
            whole = {**patch, key: []}
            result[key] = _merged(result, key, whole, field, at)


def _keyed(old: list[Any], value: list[Any], order: list[Any] | None, schema: Schema, path: str) -> list[Any]:
    key = schema.key
    for index, item in enumerate(value):
        if not isinstance(item, Mapping):
            raise _wrong(f"{path}[{index}]", "must be an object")
    if any(item.get(PATCH) == "replace" for item in value):
        kept = [item for item in value if item.get(PATCH) != "replace" or len(item) > 1]
        return [without_directives(item) for item in kept if item.get(PATCH) != "delete"]
    result = list(old)
    for index, item in enumerate(value):
        at = f"{path}[{index}]"
        if key not in item:
            raise _wrong(at, f"the merge key {key} is missing")
        place = _find(result, key, item[key])
        if item.get(PATCH) == "delete":
            result = [kept for kept in result if not _has(kept, key, item[key])]
        elif place is None:
            result.append(without_directives(item))
        else:
            result[place] = _object(result[place], item, schema.element(), at)
    if order is None:
        return result
    names = [entry.get(key) if isinstance(entry, Mapping) else entry for entry in order]
    _check_order([item[key] for item in value if item.get(PATCH) != "delete"], names, path)
    return _ordered(result, names, lambda item: item.get(key) if isinstance(item, Mapping) else None)


def _has(item: Any, key: str, value: Any) -> bool:
    return isinstance(item, Mapping) and key in item and equal(item[key], value)


def _find(items: list[Any], key: str, value: Any) -> int | None:
    return next((index for index, item in enumerate(items) if _has(item, key, value)), None)


def _set(old: list[Any], value: list[Any], order: list[Any] | None, delete: list[Any]) -> list[Any]:
    result = [item for item in old if item not in delete]
    for item in value:
        if item not in result:
            result.append(item)
    return result if order is None else _ordered(result, order, lambda item: item)


def _check_order(patched: list[Any], order: list[Any], path: str) -> None:
    for value in patched:
        if value not in order:
            raise _wrong(path, f"{value!r} is in the patch but not in {SET_ORDER[:-1]}")


def _ordered(items: list[Any], order: list[Any], name: Callable[[Any], Any]) -> list[Any]:
    """The named items in the given order; each other item before the named ones that it stood before."""
    rank = {_hashable(value): index for index, value in enumerate(order)}
    named = sorted(
        (item for item in items if _hashable(name(item)) in rank), key=lambda item: rank[_hashable(name(item))]
    )
    position = {id(item): index for index, item in enumerate(items)}
    others = [item for item in items if _hashable(name(item)) not in rank]
    result: list[Any] = []
    for item in named:
        while others and position[id(others[0])] < position[id(item)]:
            result.append(others.pop(0))
        result.append(item)
    return result + others


def _hashable(value: Any) -> Any:
    return repr(value) if isinstance(value, dict | list | bool) else value
