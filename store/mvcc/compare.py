"""The conditions of a transaction."""

from __future__ import annotations

from raftsman.etcd import rpc_pb2

from .index import KeyIndex
from .records import Record

_Compare = rpc_pb2.Compare


def holds(index: KeyIndex, compare: _Compare) -> bool:
    """Whether a condition holds for the key, or for every key of the range; an empty range is one missing key."""
    records = list(index.live(compare.key, compare.range_end))
    if not records:
        return compare.target != _Compare.VALUE and _matches(compare, _numbers(None)[compare.target])
    for record in records:
        actual = record.value if compare.target == _Compare.VALUE else _numbers(record)[compare.target]
        if not _matches(compare, actual):
            return False
    return True


def _numbers(record: Record | None) -> dict[int, int]:
    if record is None:
        return {_Compare.VERSION: 0, _Compare.CREATE: 0, _Compare.MOD: 0, _Compare.LEASE: 0}
    return {
        _Compare.VERSION: record.version,
        _Compare.CREATE: record.create_revision,
        _Compare.MOD: record.mod_revision,
        _Compare.LEASE: record.lease,
    }


def _matches(compare: _Compare, actual: int | bytes) -> bool:
    wanted = _wanted(compare)
    assert type(wanted) is type(actual)
    order = (actual > wanted) - (actual < wanted)  # type: ignore[operator]
    if compare.result == _Compare.EQUAL:
        return order == 0
    if compare.result == _Compare.GREATER:
        return order > 0
    if compare.result == _Compare.LESS:
        return order < 0
    return order != 0


def _wanted(compare: _Compare) -> int | bytes:
    if compare.target == _Compare.VALUE:
        return compare.value
    if compare.target == _Compare.VERSION:
        return compare.version
    if compare.target == _Compare.CREATE:
        return compare.create_revision
    if compare.target == _Compare.MOD:
        return compare.mod_revision
    return compare.lease
