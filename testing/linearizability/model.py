"""The store in its simplest form: a dictionary of live keys, one revision a write, every step undone at will.

It answers etcd's requests with etcd's messages without headers. Written from etcd's documentation, with nothing of the
store under test. What it does not know raises Unmodelled: a checker must not guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.message import Message
from raftsman.etcd import kv_pb2, rpc_pb2

FIRST_REVISION = 1
_TO_THE_END = b"\0"
_ABSENT = object()
_Range = rpc_pb2.RangeRequest
_Compare = rpc_pb2.Compare
_NOTHING = kv_pb2.KeyValue()


class Unmodelled(Exception):
    """A request that the model does not know."""


class Impossible(Exception):
    """The state does not allow the operation to succeed."""


class Model:
    """Live keys and leases at `revision`, and the changes of every revision so far.

    `leases` says of an id whether it lives (True) or was revoked (False).
    """

    def __init__(self) -> None:
        self.revision = FIRST_REVISION
        self.keys: dict[bytes, kv_pb2.KeyValue] = {}
        self.leases: dict[int, bool] = {}
        self.changes: dict[int, tuple[kv_pb2.Event, ...]] = {}
        self._undo: list[tuple[dict[Any, Any], Any, object]] = []
        self._pending: list[kv_pb2.Event] = []

    # -- steps

    def mark(self) -> tuple[int, int]:
        return len(self._undo), self.revision

    def rewind(self, mark: tuple[int, int]) -> None:
        """Undo everything since `mark`."""
        length, self.revision = mark
        while len(self._undo) > length:
            where, key, old = self._undo.pop()
            if old is _ABSENT:
                where.pop(key, None)
            else:
                where[key] = old
        self._pending.clear()

    def _set(self, where: dict[Any, Any], key: Any, value: object) -> None:
        self._undo.append((where, key, where.get(key, _ABSENT)))
        if value is None:
            where.pop(key, None)
        else:
            where[key] = value

    def apply(self, request: Message) -> Message:
        """Carry a request out; one revision if it wrote. Raises Impossible, Unmodelled."""
        answer = self._answer(request)
        if self._pending:
            self.revision += 1
            self._set(self.changes, self.revision, tuple(self._pending))
            self._pending.clear()
        return answer

    def _answer(self, request: Message) -> Message:
        if isinstance(request, rpc_pb2.RangeRequest):
            return self.range(request)
        if isinstance(request, rpc_pb2.PutRequest):
            return self._put(request)
        if isinstance(request, rpc_pb2.DeleteRangeRequest):
            return self._delete_range(request)
        if isinstance(request, rpc_pb2.TxnRequest):
            return self._txn(request)
        if isinstance(request, rpc_pb2.LeaseGrantRequest):
            if self.leases.get(request.ID):
                raise Impossible(f"lease {request.ID} lives already")
            self._set(self.leases, request.ID, True)
            return rpc_pb2.LeaseGrantResponse(ID=request.ID)
        if isinstance(request, rpc_pb2.LeaseRevokeRequest):
            return self._revoke(request.ID)
        if isinstance(request, rpc_pb2.CompactionRequest):
            return rpc_pb2.CompactionResponse()
        raise Unmodelled(type(request).__name__)

    # -- reads

    def covered(self, key: bytes, range_end: bytes) -> list[kv_pb2.KeyValue]:
        """The live keys of a range, in order."""
        if not range_end:
            found = self.keys.get(key)
            return [] if found is None else [found]
        return [self.keys[each] for each in sorted(self.keys) if inside(each, key, range_end)]

    def range(self, request: _Range) -> rpc_pb2.RangeResponse:
        if (
            request.min_mod_revision
            or request.max_mod_revision
            or request.min_create_revision
            or request.max_create_revision
            or request.sort_target != _Range.KEY
            or request.sort_order == _Range.DESCEND
        ):
            raise Unmodelled("Range with filters or sorting")
        kvs = self.covered(request.key, request.range_end)
        count = len(kvs)
        if request.count_only:
            return rpc_pb2.RangeResponse(count=count)
        more = 0 < request.limit < count
        kvs = kvs[: request.limit] if more else kvs
        if request.keys_only:
            kvs = [without_value(kv) for kv in kvs]
        return rpc_pb2.RangeResponse(kvs=kvs, more=more, count=count)

    # -- writes

    def _put(self, request: rpc_pb2.PutRequest) -> rpc_pb2.PutResponse:
        old = self.keys.get(request.key)
        if (request.ignore_value or request.ignore_lease) and old is None:
            raise Impossible(f"{request.key!r} does not exist, yet its value or lease was to be kept")
        before = old or _NOTHING
        lease = before.lease if request.ignore_lease else request.lease
        if request.lease and not self.leases.get(request.lease):
            raise Impossible(f"lease {request.lease} does not live")
        revision = self.revision + 1
        kv = kv_pb2.KeyValue(
            key=request.key,
            value=before.value if request.ignore_value else request.value,
            create_revision=before.create_revision or revision,
            mod_revision=revision,
            version=before.version + 1,
            lease=lease,
        )
        self._set(self.keys, request.key, kv)
        self._pending.append(kv_pb2.Event(type=kv_pb2.Event.PUT, kv=kv, prev_kv=old))
        return rpc_pb2.PutResponse(prev_kv=old if request.prev_kv else None)

    def _delete(self, kvs: Iterable[kv_pb2.KeyValue]) -> None:
        for kv in kvs:
            self._set(self.keys, kv.key, None)
            tombstone = kv_pb2.KeyValue(key=kv.key, mod_revision=self.revision + 1)
            self._pending.append(kv_pb2.Event(type=kv_pb2.Event.DELETE, kv=tombstone, prev_kv=kv))

    def _delete_range(self, request: rpc_pb2.DeleteRangeRequest) -> rpc_pb2.DeleteRangeResponse:
        kvs = self.covered(request.key, request.range_end)
        self._delete(kvs)
        return rpc_pb2.DeleteRangeResponse(deleted=len(kvs), prev_kvs=kvs if request.prev_kv else [])

    def _revoke(self, lease_id: int) -> rpc_pb2.LeaseRevokeResponse:
        if not self.leases.get(lease_id):
            raise Impossible(f"lease {lease_id} does not live")
        self._set(self.leases, lease_id, False)
        self._delete(self.of_lease(lease_id))
        return rpc_pb2.LeaseRevokeResponse()

    def of_lease(self, lease_id: int) -> list[kv_pb2.KeyValue]:
        return [self.keys[key] for key in sorted(self.keys) if self.keys[key].lease == lease_id]

    # -- transactions

    def _txn(self, request: rpc_pb2.TxnRequest) -> rpc_pb2.TxnResponse:
        return self._run(request, self._decided(request))

    def _decided(self, request: rpc_pb2.TxnRequest) -> Iterator[bool]:
        """Every branch, nested ones too, is chosen by the state before the transaction."""
        return iter(list(self._decide(request)))

    def _decide(self, request: rpc_pb2.TxnRequest) -> Iterator[bool]:
        chosen = all(self._holds(condition) for condition in request.compare)
        yield chosen
        for operation in request.success if chosen else request.failure:
            if operation.HasField("request_txn"):
                yield from self._decide(operation.request_txn)

    def _run(self, request: rpc_pb2.TxnRequest, decided: Iterator[bool]) -> rpc_pb2.TxnResponse:
        succeeded = next(decided)
        answer = rpc_pb2.TxnResponse(succeeded=succeeded)
        for operation in request.success if succeeded else request.failure:
            one = answer.responses.add()
            if operation.HasField("request_range"):
                if operation.request_range.revision:
                    raise Unmodelled("a read of an older revision inside a transaction")
                one.response_range.CopyFrom(self.range(operation.request_range))
            elif operation.HasField("request_put"):
                one.response_put.CopyFrom(self._put(operation.request_put))
            elif operation.HasField("request_delete_range"):
                one.response_delete_range.CopyFrom(self._delete_range(operation.request_delete_range))
            else:
                one.response_txn.CopyFrom(self._run(operation.request_txn, decided))
        return answer

    def _holds(self, condition: _Compare) -> bool:
        kvs = self.covered(condition.key, condition.range_end)
        if not kvs:
            if condition.target == _Compare.VALUE:
                return False
            kvs = [_NOTHING]
        return all(_compared(condition, kv) for kv in kvs)


def _compared(condition: _Compare, kv: kv_pb2.KeyValue) -> bool:
    actual, wanted = {
        _Compare.VERSION: (kv.version, condition.version),
        _Compare.CREATE: (kv.create_revision, condition.create_revision),
        _Compare.MOD: (kv.mod_revision, condition.mod_revision),
        _Compare.VALUE: (kv.value, condition.value),
        _Compare.LEASE: (kv.lease, condition.lease),
    }[condition.target]
    order = (actual > wanted) - (actual < wanted)  # type: ignore[operator]
    allowed = {_Compare.EQUAL: (0,), _Compare.NOT_EQUAL: (-1, 1), _Compare.GREATER: (1,), _Compare.LESS: (-1,)}
    return order in allowed[condition.result]


def inside(candidate: bytes, key: bytes, range_end: bytes) -> bool:
    """Whether etcd's range covers a key: no end is the key alone, a zero byte everything from key on."""
    if not range_end:
        return candidate == key
    return candidate >= key and (range_end == _TO_THE_END or candidate < range_end)


def without_value(kv: kv_pb2.KeyValue) -> kv_pb2.KeyValue:
    copy = kv_pb2.KeyValue()
    copy.CopyFrom(kv)
    copy.ClearField("value")
    return copy
