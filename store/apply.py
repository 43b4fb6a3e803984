"""What each kind of log entry does to the state: one function a kind, the same on every member.

A function takes the state and the request's bytes and answers with etcd's message, its header's revision set where the
operation may have made one. It raises StoreError where the state refuses; nothing was changed then. No clock, no
randomness: what a kind needs of these was drawn by the proposing member and stands in its payload.
"""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.message import Message
from raftsman.etcd import rpc_pb2
from raftsman.store.commands import Kind
from raftsman.store.mvcc import State

Apply = Callable[[State, bytes], Message]


def _put(state: State, payload: bytes) -> Message:
    answer = state.put(rpc_pb2.PutRequest.FromString(payload))
    answer.header.revision = state.revision
    return answer


def _delete_range(state: State, payload: bytes) -> Message:
    answer = state.delete_range(rpc_pb2.DeleteRangeRequest.FromString(payload))
    answer.header.revision = state.revision
    return answer


def _txn(state: State, payload: bytes) -> Message:
    answer = state.txn(rpc_pb2.TxnRequest.FromString(payload))
    answer.header.revision = state.revision
    return answer


def _compact(state: State, payload: bytes) -> Message:
    state.compact(rpc_pb2.CompactionRequest.FromString(payload).revision)
    answer = rpc_pb2.CompactionResponse()
    answer.header.revision = state.revision
    return answer


def _lease_grant(state: State, payload: bytes) -> Message:
    request = rpc_pb2.LeaseGrantRequest.FromString(payload)
    lease = state.grant(request.ID, request.TTL)
    answer = rpc_pb2.LeaseGrantResponse(ID=lease.id, TTL=lease.ttl_s)
    answer.header.revision = state.revision
    return answer


def _lease_revoke(state: State, payload: bytes) -> Message:
    state.revoke(rpc_pb2.LeaseRevokeRequest.FromString(payload).ID)
    answer = rpc_pb2.LeaseRevokeResponse()
    answer.header.revision = state.revision
    return answer


BY_KIND: dict[Kind, Apply] = {
    Kind.PUT: _put,
    Kind.DELETE_RANGE: _delete_range,
    Kind.TXN: _txn,
    Kind.COMPACT: _compact,
    Kind.LEASE_GRANT: _lease_grant,
    Kind.LEASE_REVOKE: _lease_revoke,
}


def lease_of(kind: Kind, payload: bytes) -> int:
    """Which lease a grant or a revocation is about."""
    if kind is Kind.LEASE_GRANT:
        return rpc_pb2.LeaseGrantRequest.FromString(payload).ID
    return rpc_pb2.LeaseRevokeRequest.FromString(payload).ID
