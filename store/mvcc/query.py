"""Range: which records, in which order, how many of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from operator import attrgetter

from raftsman.etcd import rpc_pb2
from raftsman.store import errors

from .index import KeyIndex
from .records import Record

_Request = rpc_pb2.RangeRequest
_SORT_KEYS = {
    _Request.KEY: attrgetter("key"),
    _Request.VERSION: attrgetter("version"),
    _Request.CREATE: attrgetter("create_revision"),
    _Request.MOD: attrgetter("mod_revision"),
    _Request.VALUE: attrgetter("value"),
}
LIMIT_MAX = 1 << 62
"""A larger limit is one that counting one more would overflow."""
_SORT_ORDERS = frozenset((_Request.NONE, _Request.ASCEND, _Request.DESCEND))


def check_revision(revision: int, *, current: int, compacted: int) -> None:
    """Refuse what cannot be read: newer than the store, or compacted away. 0 is the newest."""
    if revision > current:
        raise errors.future_revision()
    if 0 < revision < compacted:
        raise errors.compacted()


def check(request: _Request, *, current: int, compacted: int) -> None:
    """Refuse a Range of a revision that cannot be read, or in no known order."""
    check_revision(request.revision, current=current, compacted=compacted)
    if request.sort_target not in _SORT_KEYS or request.sort_order not in _SORT_ORDERS:
        raise errors.invalid_sort_option()


def evaluate(index: KeyIndex, request: _Request, answer: rpc_pb2.RangeResponse, *, current: int) -> None:
    """Answer a Range that was checked."""
    keys_only, add = request.keys_only, answer.kvs.add
    for record in select(index, request, answer, current=current):
        record.fill(add(), keys_only=keys_only)


def select(index: KeyIndex, request: _Request, answer: rpc_pb2.RangeResponse, *, current: int) -> Sequence[Record]:
    """The records that answer a Range, and everything of the answer but them.

    `count` is that of the range, whatever is filtered or beyond the limit.
    """
    key, range_end, revision, limit = request.key, request.range_end, request.revision, min(request.limit, LIMIT_MAX)
    target, order = request.sort_target, request.sort_order
    backwards = target == _Request.KEY and order == _Request.DESCEND
    found: Iterator[Record]
    if revision <= 0 or revision == current:
        answer.count = index.count(key, range_end)
        found = index.backwards(key, range_end) if backwards else index.live(key, range_end)
    else:
        everything = list(index.at(key, range_end, revision))
        answer.count = len(everything)
        found = reversed(everything) if backwards else iter(everything)
    if request.count_only:
        return ()
    filtered = _filtered(found, request)
    if target != _Request.KEY:
        if order == _Request.NONE and limit > 0 and filtered is found:
            filtered = islice(filtered, limit + 1)  # as etcd: without an order, what the limit cut is what is sorted
        filtered = iter(sorted(filtered, key=_SORT_KEYS[target], reverse=order == _Request.DESCEND))
    if limit <= 0:
        return list(filtered)
    records = list(islice(filtered, limit))
    if next(filtered, None) is not None:
        answer.more = True
    return records


def _filtered(records: Iterator[Record], request: _Request) -> Iterator[Record]:
    low_mod, high_mod = request.min_mod_revision, request.max_mod_revision
    low_create, high_create = request.min_create_revision, request.max_create_revision
    if not (low_mod or high_mod or low_create or high_create):
        return records
    return (
        record
        for record in records
        if (not low_mod or record.mod_revision >= low_mod)
        and (not high_mod or record.mod_revision <= high_mod)
        and (not low_create or record.create_revision >= low_create)
        and (not high_create or record.create_revision <= high_create)
    )
