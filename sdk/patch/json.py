"""RFC 6902: a list of operations by JSON pointer (RFC 6901), all or none. At most OPERATIONS_MAX."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from raftsman import errors

OPERATIONS_MAX = 10_000
_MISSING = object()
# A value copied again and again doubles a document: this many values may be copied in all.
_COPIED_MAX = 1_000_000


def json_patch(document: Any, operations: Sequence[Mapping[str, Any]]) -> Any:
    """The document after the operations, None if they remove it. errors.BadRequest if they are malformed,
    errors.Invalid if one fails."""
    if not isinstance(operations, Sequence) or isinstance(operations, str | bytes):
        raise errors.BadRequest("a JSON patch is a list of operations")
    if len(operations) > OPERATIONS_MAX:
        raise errors.BadRequest(f"a JSON patch has at most {OPERATIONS_MAX} operations, not {len(operations)}")
    root = {"": copy.deepcopy(document)}
    copied = 0
    for index, operation in enumerate(operations):
        where = f"[{index}]"
        if not isinstance(operation, Mapping):
            raise errors.BadRequest(f"{where}: an operation is an object")
        name = operation.get("op")
        run = _OPERATIONS.get(name) if isinstance(name, str) else None
        if run is None:
            raise errors.BadRequest(f"{where}: op must be one of {', '.join(_OPERATIONS)}, not {name!r}")
        if name == "copy":
            copied += _size(root)
            if copied > _COPIED_MAX:
                raise errors.BadRequest(f"{where}: the patch copies more than {_COPIED_MAX} values")
        run(root, operation, where)
    return root.get("")


def _size(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(_size(item) for item in inner)


def _pointer(operation: Mapping[str, Any], field: str, where: str) -> list[str]:
    text = operation.get(field)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise errors.BadRequest(f"{where}: {field} must be a JSON pointer such as /spec/replicas, not {text!r}")
    # "" splits to one empty part, "/a" to two: the document hangs under "" so that the whole of it has a parent too.
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")]


def _value(operation: Mapping[str, Any], where: str) -> Any:
    if "value" not in operation:
        raise errors.BadRequest(f"{where}: value is missing")
    return copy.deepcopy(operation["value"])


def _fails(where: str, parts: list[str], why: str) -> errors.Invalid:
    path = "/".join(parts)
    return errors.Invalid(
        f"JSON patch {where}: {path or '/'}: {why}", causes=(errors.Cause(path, "FieldValueInvalid", why),)
    )


def _parent(root: Any, parts: list[str], where: str) -> Any:
    found = root
    for depth, part in enumerate(parts[:-1]):
        found = _child(found, part)
        if found is _MISSING:
            raise _fails(where, parts[: depth + 1], "does not exist")
    if not isinstance(found, dict | list):
        raise _fails(where, parts[:-1], "is neither an object nor a list")
    return found


def _index(part: str, length: int) -> int | None:
    if not part.isascii() or not part.isdigit() or (len(part) > 1 and part[0] == "0") or len(part) > 9:
        return None
    return int(part) if int(part) < length else None


def _child(parent: Any, part: str) -> Any:
    if isinstance(parent, dict):
        return parent.get(part, _MISSING)
    if isinstance(parent, list):
        index = _index(part, len(parent))
        return _MISSING if index is None else parent[index]
    return _MISSING


def _get(root: Any, parts: list[str], where: str) -> Any:
    found = _child(_parent(root, parts, where), parts[-1])
    if found is _MISSING:
        raise _fails(where, parts, "does not exist")
    return found


def _put(root: Any, parts: list[str], value: Any, where: str) -> None:
    parent = _parent(root, parts, where)
    if isinstance(parent, dict):
        parent[parts[-1]] = value
        return
    index = len(parent) if parts[-1] == "-" else _index(parts[-1], len(parent) + 1)
    if index is None:
        raise _fails(where, parts, f"is no position in a list of {len(parent)}")
    parent.insert(index, value)


def _take(root: Any, parts: list[str], where: str) -> Any:
    value = _get(root, parts, where)
    parent = _parent(root, parts, where)
    del parent[parts[-1] if isinstance(parent, dict) else int(parts[-1])]
    return value


def _add(root: Any, operation: Mapping[str, Any], where: str) -> None:
    _put(root, _pointer(operation, "path", where), _value(operation, where), where)


def _remove(root: Any, operation: Mapping[str, Any], where: str) -> None:
    _take(root, _pointer(operation, "path", where), where)


def _replace(root: Any, operation: Mapping[str, Any], where: str) -> None:
    parts = _pointer(operation, "path", where)
    value = _value(operation, where)
    _get(root, parts, where)
    parent = _parent(root, parts, where)
    parent[parts[-1] if isinstance(parent, dict) else int(parts[-1])] = value


def _move(root: Any, operation: Mapping[str, Any], where: str) -> None:
    source, target = _pointer(operation, "from", where), _pointer(operation, "path", where)
    if target[: len(source)] == source and len(target) > len(source):
        raise errors.BadRequest(f"{where}: a value cannot be moved into itself")
    _put(root, target, _take(root, source, where), where)


def _copy(root: Any, operation: Mapping[str, Any], where: str) -> None:
    value = copy.deepcopy(_get(root, _pointer(operation, "from", where), where))
    _put(root, _pointer(operation, "path", where), value, where)


def _test(root: Any, operation: Mapping[str, Any], where: str) -> None:
    parts = _pointer(operation, "path", where)
    expected = _value(operation, where)
    found = _child(_parent(root, parts, where), parts[-1])
    # A test for null is also true of what is absent, as in the library that Kubernetes uses.
    if not equal(None if found is _MISSING else found, expected):
        raise _fails(where, parts, "is not the value that the patch tests for")


def equal(left: Any, right: Any) -> bool:
    """JSON equality: true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return bool(left == right)


_OPERATIONS: dict[str, Callable[[Any, Mapping[str, Any], str], None]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
