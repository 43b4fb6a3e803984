"""Trees of JSON for a kind, out of bytes: nearly right, with everything wrong somewhere.

The same bytes make the same tree, so that a fuzzer can change what it found a little.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from raftsman.codec import plan
from raftsman.options import v1 as options

DEPTH_MAX = 9
ITEMS_MAX = 3
_WORDS = (
    "", "a", "A", "a-b", "-a", "a.b/c", "a b", "*", "0", "-1", "1Gi", "100m", "1e3", "9" * 30, "80", "http", "TCP",
    "Always", "Never", "OnFailure", "ClusterIP", "None", "None,", "10.0.0.1", "::1", "fe80::1%eth0", "10.0.0.0/8",
    "example.com", "..", "/a/../b", "/", "a/b:latest", "$(A)", "%", "é", "\u0000", "x" * 300, "2020-01-01T00:00:00Z",
    "kubernetes.io/x", "app", "v1", "In", "NotIn", "Exists", "Gt", "Pod", "apps", "DeploymentRollback",
)  # fmt: skip
_NUMBERS = (0, 1, -1, 2, 80, 443, 65535, 65536, 100, 101, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
_WRONG: tuple[Any, ...] = (None, True, 1.5, "x", [], {}, [[]], {"a": {"b": []}}, 10**30)
_VALUES: dict[int, tuple[Any, ...]] = {
    options.FORMAT_QUANTITY: ("1", "100m", "1Gi", "-1", "", "1e3", "0.5", "1e-30", "9" * 40, 3, "x"),
    options.FORMAT_INT_OR_STRING: (0, 1, 80, "50%", "0%", "101%", "http", "", -1),
    options.FORMAT_TIME: ("2020-01-01T00:00:00Z", "x", "", "0001-01-01T00:00:00Z"),
    options.FORMAT_MICRO_TIME: ("2020-01-01T00:00:00.000001Z", "x", ""),
    options.FORMAT_DURATION: ("1h", "", "-1s", "x"),
    options.FORMAT_STRING_LIST: ([], ["a"], ["a", "a"], [1]),
    options.FORMAT_RAW_JSON: ({}, {"a": 1}, [], "x", 1, None),
}


class Source:
    """Numbers out of bytes, zeros when they are used up."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    @property
    def empty(self) -> bool:
        return self._place >= len(self._data)

    def number(self, below: int) -> int:
        """0 <= number < below, below <= 256."""
        if self.empty:
            return 0
        self._place += 1
        return self._data[self._place - 1] % below

    def one_of(self, choices: tuple[Any, ...]) -> Any:
        return choices[self.number(len(choices))]


def tree(source: Source, descriptor: Descriptor, depth: int = 0) -> dict[str, Any]:
    """An object of a message's fields; one in thirty values is of a wrong type."""
    fields = tuple(plan.fields(descriptor).values())
    found: dict[str, Any] = {}
    if depth > DEPTH_MAX or not fields:
        return found
    while not source.empty and len(found) < len(fields):
        field = fields[source.number(min(len(fields), 256))]
        found[field.json_name] = _field(source, field, depth)
        if source.number(4) == 0:
            break
    if source.number(40) == 1:
        found["unknown"] = 1
    return found


def _field(source: Source, field: plan.Field, depth: int) -> Any:
    if source.number(30) == 1:
        return source.one_of(_WRONG)
    if field.shape is plan.Shape.LIST:
        return [_value(source, field, depth) for _ in range(source.number(ITEMS_MAX + 1))]
    if field.shape is plan.Shape.MAP:
        return {source.one_of(_WORDS): _value(source, field, depth) for _ in range(source.number(ITEMS_MAX + 1))}
    return _value(source, field, depth)


def _value(source: Source, field: plan.Field, depth: int) -> Any:
    if field.message is not None:
        values = _VALUES.get(plan.format_of(field.message))
        return source.one_of(values) if values else tree(source, field.message, depth + 1)
    if field.scalar == FieldDescriptor.TYPE_BOOL:
        return source.number(2) == 1
    if field.scalar == FieldDescriptor.TYPE_STRING:
        return source.one_of(_WORDS)
    if field.scalar == FieldDescriptor.TYPE_BYTES:
        return source.one_of(("", "YQ==", "YQ", "!"))
    return source.one_of(_NUMBERS)
