"""Collects what is wrong with an object, each thing under its field path, in Kubernetes' words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from google.protobuf.message import Message
from raftsman.errors import Cause


class _Omitted:
    """A value that is not printed."""


OMITTED = _Omitted()


class Verbatim(str):
    """A value that is printed as it stands: Kubernetes shows some of its own structs."""

    __slots__ = ()


def quoted(value: object) -> str:
    """A value as Kubernetes prints it in a cause: as JSON."""
    if isinstance(value, Verbatim):
        return str(value)
    if isinstance(value, Message):
        from raftsman import codec

        value = codec.to_json(value, type_meta=False)
    elif isinstance(value, Mapping):
        value = dict(sorted(value.items()))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        value = list(value)
    if value is None or isinstance(value, (str, bool, list, dict)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value)


class Causes:
    """Appended to by validators. `immutable` tells whether every cause is a change of what may not change."""

    __slots__ = ("_immutable", "found")

    def __init__(self) -> None:
        self.found: list[Cause] = []
        self._immutable = 0

    def __bool__(self) -> bool:
        return bool(self.found)

    @property
    def immutable(self) -> bool:
        return bool(self.found) and self._immutable == len(self.found)

    def _add(self, path: str, reason: str, message: str) -> None:
        self.found.append(Cause(path, reason, message))

    def invalid(self, path: str, value: object, why: str) -> None:
        told = "Invalid value" if value is OMITTED else f"Invalid value: {quoted(value)}"
        self._add(path, "FieldValueInvalid", f"{told}: {why}" if why else told)

    def type_invalid(self, path: str, value: object, why: str) -> None:
        self._add(path, "FieldValueTypeInvalid", f"Invalid value: {quoted(value)}: {why}")

    def required(self, path: str, why: str = "") -> None:
        self._add(path, "FieldValueRequired", f"Required value: {why}" if why else "Required value")

    def duplicate(self, path: str, value: object) -> None:
        self._add(path, "FieldValueDuplicate", f"Duplicate value: {quoted(value)}")

    def not_found(self, path: str, value: object) -> None:
        self._add(path, "FieldValueNotFound", f"Not found: {quoted(value)}")

    def not_supported(self, path: str, value: object, allowed: Iterable[str]) -> None:
        known = ", ".join(quoted(one) for one in sorted(allowed))
        self._add(path, "FieldValueNotSupported", f"Unsupported value: {quoted(value)}: supported values: {known}")

    def unserved(self, path: str, why: str) -> None:
        """A field that this version does not act upon."""
        self._add(path, "FieldValueNotSupported", f"not supported yet: {why}")

    def forbidden(self, path: str, why: str) -> None:
        self._add(path, "FieldValueForbidden", f"Forbidden: {why}")

    def too_long(self, path: str, limit: int, unit: str = "bytes") -> None:
        self._add(path, "FieldValueTooLong", f"Too long: may not be more than {limit} {unit}")

    def too_many(self, path: str, count: int, limit: int) -> None:
        self._add(path, "FieldValueTooMany", f"Too many: {count}: must have at most {limit} items")

    def changed(self, path: str, value: object, why: str = "field is immutable") -> None:
        """A change of what may not change."""
        self._immutable += 1
        self.invalid(path, value, why)

    def change_forbidden(self, path: str, why: str) -> None:
        self._immutable += 1
        self.forbidden(path, why)
