"""Range: which records, in which order, how many of them."""

from __future__ import annotations

from collections.abc import Iterator
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


def check_revision(revision: int, *, current: int, compacted: int) -> None:
    """Refuse what cannot be read: newer than the store, or compacted away. 0 is the newest."""
    if revision > current:
        raise errors.future_revision()
    if 0 < revision < compacted:
        raise errors.compacted()


def evaluate(index: KeyIndex, request: _Request, *, current: int) -> rpc_pb2.RangeResponse:
    """Answer a Range whose revision was checked."""
    newest = request.revision <= 0 or request.revision == current
    key, range_end = request.key, request.range_end
    if request.count_only:
        count = index.count(key, range_end) if newest else _length(index.at(key, range_end, request.revision))
        return rpc_pb2.RangeResponse(count=count)
    if newest:
        count = index.count(key, range_end)
        found = index.live(key, range_end)
    else:
        everything = list(index.at(key, range_end, request.revision))
        count = len(everything)
        found = iter(everything)
    found = _sorted(_filtered(found, request), request)
    records = list(islice(found, request.limit + 1)) if request.limit > 0 else list(found)
    more = request.limit > 0 and len(records) > request.limit
    if more:
        records.pop()
    kvs = [record.message(keys_only=request.keys_only) for record in records]
    return rpc_pb2.RangeResponse(kvs=kvs, more=more, count=count)


def _length(records: Iterator[Record]) -> int:
    return sum(1 for _ in records)


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


def _sorted(records: Iterator[Record], request: _Request) -> Iterator[Record]:
    target, order = request.sort_target, request.sort_order
    if target == _Request.KEY and order != _Request.DESCEND:
        return records
    return iter(sorted(records, key=_SORT_KEYS[target], reverse=order == _Request.DESCEND))
