"""What makes a request invalid, whatever the state is: etcd's rules, with etcd's texts."""

from __future__ import annotations

from collections.abc import Iterable

from raftsman.etcd import rpc_pb2
from raftsman.store import errors
from raftsman.store.mvcc.index import contains

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


def _check_writes(operations: Iterable[rpc_pb2.RequestOp]) -> tuple[set[bytes], list[tuple[bytes, bytes]]]:
    """The keys put and the ranges deleted; raises when a key is put twice, or put and deleted."""
    puts: set[bytes] = set()
    deletes: list[tuple[bytes, bytes]] = []
    for operation in operations:
        kind = operation.WhichOneof("request")
        if kind == "request_put":
            _merge(puts, deletes, {operation.request_put.key}, [])
        elif kind == "request_delete_range":
            deleted = operation.request_delete_range
            _merge(puts, deletes, set(), [(deleted.key, deleted.range_end)])
        elif kind == "request_txn":
            for_success = _check_writes(operation.request_txn.success)
            for_failure = _check_writes(operation.request_txn.failure)
            _merge(puts, deletes, for_success[0] | for_failure[0], for_success[1] + for_failure[1])
    return puts, deletes


def _merge(
    puts: set[bytes], deletes: list[tuple[bytes, bytes]], more: set[bytes], ranges: list[tuple[bytes, bytes]]
) -> None:
    if puts & more:
        raise errors.duplicate_key()
    for keys, against in ((more, deletes), (puts, ranges)):
        if any(contains(key, range_end, candidate) for key, range_end in against for candidate in keys):
            raise errors.duplicate_key()
    puts |= more
    deletes += ranges


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
