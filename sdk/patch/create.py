"""Making patches: of two states, or of three as `apply` does.

Of three: what `modified` says and `current` does not becomes a change; what `original` (the last applied) said and
`modified` does not becomes a deletion; what only `current` has is somebody else's and stays.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from .json import equal
from .schema import (
    DELETE_PRIMITIVES,
    OPAQUE,
    PATCH,
    RETAIN_KEYS,
    SET_ORDER,
    Schema,
    of_message,
    without_directives,
)

Object = Mapping[str, Any]


def three_way_strategic(original: Object, modified: Object, current: Object, message: type[Any] | None) -> Any:
    """The strategic merge patch that turns `current` into one that says all that `modified` says; {} if it does."""
    return _object(original, modified, current, of_message(message))


def two_way_strategic(original: Object, modified: Object, message: type[Any] | None) -> Any:
    """The strategic merge patch that turns `original` into `modified`."""
    return _object(original, modified, original, of_message(message))


def three_way_merge(original: Object, modified: Object, current: Object) -> Any:
    """As three_way_strategic, as an RFC 7386 patch: lists are replaced."""
    return _object(original, modified, current, OPAQUE)


def two_way_merge(original: Object, modified: Object) -> Any:
    """The RFC 7386 patch that turns `original` into `modified`."""
    return _object(original, modified, original, OPAQUE)


def _object(original: Object, modified: Object, current: Object, schema: Schema) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    for key, value in modified.items():
        if value is None:
            if current.get(key) is not None:
                patch[key] = None
        elif current.get(key) is None:
            patch[key] = _fresh(value)
        else:
            _field(patch, key, original.get(key), value, current[key], schema.field(key))
    for key, value in original.items():
        if value is not None and key not in modified and current.get(key) is not None:
            patch[key] = _removed(value, current[key], schema.field(key))
    return patch


def _removed(original: Any, current: Any, schema: Schema) -> Any:
    """What removes a field that was applied once: of a map only the keys that were, if others have added some."""
    is_map = schema.of_values and isinstance(original, Mapping) and isinstance(current, Mapping)
    if is_map and any(key not in original for key in current):
        return {key: None for key in original if key in current}
    return None


def _fresh(value: Any) -> Any:
    """A value for where there was none."""
    return without_directives(copy.deepcopy(value))


def _field(patch: dict[str, Any], key: str, original: Any, modified: Any, current: Any, schema: Schema) -> None:
    if isinstance(modified, Mapping) and isinstance(current, Mapping) and not schema.replaces:
        inner = _object(original if isinstance(original, Mapping) else {}, modified, current, schema)
        if inner:
            patch[key] = _retaining(inner, modified, schema)
    elif isinstance(modified, list) and isinstance(current, list) and schema.merges:
        before = original if isinstance(original, list) else []
        if not schema.key:
            _set(patch, key, before, modified, current)
        elif _keys_unique(modified, schema.key) and _keys_unique(current, schema.key):
            _keyed(patch, key, before, modified, current, schema)
        elif not equal(modified, current):
            # A merge key that does not tell elements apart cannot merge them.
            patch[key] = [{PATCH: "replace"}, *_fresh(modified)]
    elif not schema.same(modified, current):
        patch[key] = copy.deepcopy(modified)


def _retaining(inner: dict[str, Any], modified: Object, schema: Schema) -> dict[str, Any]:
    if schema.retain_keys:
        inner[RETAIN_KEYS] = sorted(key for key, value in modified.items() if value is not None)
        return {key: value for key, value in inner.items() if value is not None}
    return inner


def _keys_unique(items: list[Any], key: str) -> bool:
    seen = [repr(item[key]) for item in items if isinstance(item, Mapping) and item.get(key) is not None]
    return len(seen) == len(items) == len(set(seen))


def _by_key(items: list[Any], key: str) -> dict[str, Any]:
    return {repr(item[key]): item for item in items if isinstance(item, Mapping) and key in item}


def _keyed(
    patch: dict[str, Any], field: str, original: list[Any], modified: list[Any], current: list[Any], schema: Schema
) -> None:
    key, element = schema.key, schema.element()
    olds, news, nows = _by_key(original, key), _by_key(modified, key), _by_key(current, key)
    changes: list[Any] = []
    for name, item in news.items():
        if name not in nows:
            changes.append(_fresh(item))
            continue
        inner = _object(olds.get(name, {}), item, nows[name], element)
        if inner:
            changes.append({**_retaining(inner, item, element), key: item[key]})
    changes += [{key: olds[n][key], PATCH: "delete"} for n in olds if n not in news and n in nows]
    kept = [name for name in nows if name in news]
    if changes or kept != [name for name in news if name in nows]:
        patch[SET_ORDER + field] = [{key: item[key]} for item in modified]
        if changes:
            patch[field] = changes


def _set(patch: dict[str, Any], field: str, original: list[Any], modified: list[Any], current: list[Any]) -> None:
    added = [item for item in modified if item not in current]
    deleted = [item for item in original if item not in modified and item in current]
    kept = [item for item in current if item in modified]
    if not added and not deleted and kept == [item for item in modified if item in current]:
        return
    patch[SET_ORDER + field] = list(modified)
    if added:
        patch[field] = added
    if deleted:
        patch[DELETE_PRIMITIVES + field] = deleted
