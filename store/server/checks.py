"""What makes a request invalid, whatever the state is: etcd's rules, with etcd's texts."""

from __future__ import annotations

from collections.abc import Iterable

from raftsman.etcd import rpc_pb2
from raftsman.store import errors
from sortedcontainers import SortedDict

TXN_OPERATIONS_MAX = 128
TXN_DEPTH_MAX = 16


def check_range(request: rpc_pb2.RangeRequest) -> None:
    if not request.key:
        raise errors.empty_key()
    if request.sort_order not in rpc_pb2.RangeRequest.SortOrder.values():
        raise errors.invalid_sort_option()
    if request.sort_target not in rpc_pb2.RangeRequest.SortTarget.values():
        raise errors.invalid_sort_option()


def check_put(request: rpc_pb2.PutRequest) -> None:
    if not request.key:
        raise errors.empty_key()
    if request.ignore_value and request.value:
        raise errors.value_provided()
    if request.ignore_lease and request.lease:
        raise errors.lease_provided()


def check_delete(request: rpc_pb2.DeleteRangeRequest) -> None:
    if not request.key:
        raise errors.empty_key()


def check_txn(request: rpc_pb2.TxnRequest, depth: int = 0) -> None:
    """Every operation by itself, and that no key is written twice on one path."""
    if depth > TXN_DEPTH_MAX:
        raise errors.invalid_request(f"transactions nested deeper than {TXN_DEPTH_MAX}")
    if max(len(request.compare), len(request.success), len(request.failure)) > TXN_OPERATIONS_MAX:
        raise errors.too_many_operations()
    for compare in request.compare:
        if not compare.key:
            raise errors.empty_key()
        known = compare.result in rpc_pb2.Compare.CompareResult.values()
        if not known or compare.target not in rpc_pb2.Compare.CompareTarget.values():
            raise errors.invalid_request("unknown compare result or target")
    for operations in (request.success, request.failure):
        for operation in operations:
            _check_operation(operation, depth)
    if depth == 0:
        for operations in (request.success, request.failure):
            _check_writes(operations)


def _check_operation(operation: rpc_pb2.RequestOp, depth: int) -> None:
    kind = operation.WhichOneof("request")
    if kind == "request_range":
        check_range(operation.request_range)
    elif kind == "request_put":
        check_put(operation.request_put)
    elif kind == "request_delete_range":
        check_delete(operation.request_delete_range)
    elif kind == "request_txn":
        check_txn(operation.request_txn, depth + 1)
    else:
        raise errors.key_not_found()


class _Ranges:
    """Keys that are deleted, as disjoint ranges: start -> end."""

    def __init__(self) -> None:
        self._ends: SortedDict[bytes, bytes] = SortedDict()

    def add(self, start: bytes, end: bytes) -> None:
        """Take in a range. One that ends before it starts covers nothing, and so does etcd's open end, "\\0"."""
        if end <= start:
            return
        place = self._ends.bisect_right(start)
        if place and self._ends.peekitem(place - 1)[1] >= start:
            place -= 1
            start = self._ends.peekitem(place)[0]
        while place < len(self._ends) and self._ends.peekitem(place)[0] <= end:
            end = max(end, self._ends.popitem(place)[1])
        self._ends[start] = end

    def update(self, others: _Ranges) -> None:
        for start, end in others._ends.items():
            self.add(start, end)

    def __contains__(self, key: bytes) -> bool:
        place = self._ends.bisect_right(key)
        return bool(place) and self._ends.peekitem(place - 1)[1] > key


def _check_writes(operations: Iterable[rpc_pb2.RequestOp]) -> tuple[set[bytes], _Ranges]:
    """The keys put and the ranges deleted; raises when a key is put twice, or deleted and put.

    As etcd has it: deletes of the same level count wherever they stand, those of a nested transaction only against what
    is put behind it; branches that exclude each other may put the same key.
    """
    puts: set[bytes] = set()
    deletes = _Ranges()
    operations = list(operations)
    for operation in operations:
        if operation.HasField("request_delete_range"):
            deleted = operation.request_delete_range
            deletes.add(deleted.key, deleted.range_end or deleted.key + b"\0")
    for operation in operations:
        if operation.HasField("request_txn"):
            for_success, deletes_for_success = _check_writes(operation.request_txn.success)
            for_failure, deletes_for_failure = _check_writes(operation.request_txn.failure)
            both = for_success | for_failure
            if puts & both or any(key in deletes for key in both):
                raise errors.duplicate_key()
            puts |= both
            deletes.update(deletes_for_success)
            deletes.update(deletes_for_failure)
    for operation in operations:
        if operation.HasField("request_put"):
            key = operation.request_put.key
            if key in puts or key in deletes:
                raise errors.duplicate_key()
            puts.add(key)
    return puts, deletes


def only_reads(request: rpc_pb2.TxnRequest) -> bool:
    """Whether no branch writes: such a transaction needs no log entry."""
    return all(
        operation.WhichOneof("request") == "request_range"
        or (operation.WhichOneof("request") == "request_txn" and only_reads(operation.request_txn))
        for operations in (request.success, request.failure)
        for operation in operations
    )


def only_serializable(request: rpc_pb2.TxnRequest) -> bool:
    """Whether every read may be stale."""
    return all(
        operation.request_range.serializable
        for operations in (request.success, request.failure)
        for operation in operations
    )
