"""What each kind of log entry does to the state: one function a kind, the same on every member.

A function takes the state and the request's bytes and answers with etcd's message, its header's revision set where the
operation may have made one. It raises StoreError where the state refuses; nothing was changed then. No clock, no
randomness: what a kind needs of these was drawn by the proposing member and stands in its payload.
"""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.message import Message
from raftsman.etcd import rpc_pb2
from raftsman.kv import v1 as kv
from raftsman.store import apply_auth, apply_members, errors
from raftsman.store.commands import Kind
from raftsman.store.mvcc import State
from raftsman.store.mvcc.auth import NOBODY, Who
from raftsman.store.mvcc.sessions import Outcome

Answer = Message | Outcome
"""etcd's message; for what is asked most often, the same as a session remembers it, which is made faster."""

Apply = Callable[[State, bytes], Answer]


def message_of(answer: Answer) -> Message:
    """etcd's message, its header with the revision."""
    if not isinstance(answer, Outcome):
        return answer
    return rpc_pb2.PutResponse(header=rpc_pb2.ResponseHeader(revision=answer.revision))


def _put(state: State, payload: bytes) -> Answer:
    request = rpc_pb2.PutRequest.FromString(payload)
    if not (request.prev_kv or request.ignore_value or request.ignore_lease):
        state.put_plain(request.key, request.value, request.lease)
        return Outcome(state.revision, b"")
    answer = state.put(request)
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


def _alarm(state: State, payload: bytes) -> Message:
    request = rpc_pb2.AlarmRequest.FromString(payload)
    answer = rpc_pb2.AlarmResponse()
    answer.header.revision = state.revision
    if request.action == rpc_pb2.AlarmRequest.ACTIVATE:
        state.alarms.activate(request.alarm, request.memberID)
    elif not state.alarms.deactivate(request.alarm, request.memberID):
        return answer
    answer.alarms.add(memberID=request.memberID, alarm=request.alarm)
    return answer


def _session_open(state: State, payload: bytes) -> Message:
    number = int.from_bytes(payload, "little")
    state.sessions.open(number)
    return kv.OperateResponse(session=number)


BY_KIND: dict[Kind, Apply] = {
    Kind.PUT: _put,
    Kind.DELETE_RANGE: _delete_range,
    Kind.TXN: _txn,
    Kind.COMPACT: _compact,
    Kind.LEASE_GRANT: _lease_grant,
    Kind.LEASE_REVOKE: _lease_revoke,
    Kind.ALARM: _alarm,
    Kind.SESSION_OPEN: _session_open,
    **apply_members.BY_KIND,
    **apply_auth.BY_KIND,
}

_OF_KEYS = frozenset({Kind.PUT, Kind.DELETE_RANGE, Kind.TXN, Kind.COMPACT, Kind.LEASE_GRANT, Kind.LEASE_REVOKE})

_OF_MEMBERS = frozenset({Kind.CLUSTER_MEMBER, Kind.CLUSTER_PUBLISH})
"""Raft acts on these too, and knows no users: who may change the members is decided before it is proposed."""


def execute(state: State, kind: Kind, payload: bytes, who: Who = NOBODY) -> Answer:
    """Apply one operation. Raises StoreError where `who` may not, or the state, or an alarm, refuses it."""
    if state.auth.enabled and kind not in _OF_MEMBERS:
        apply_auth.permit(state, kind, payload, who)
    alarms = state.alarms
    if alarms.corrupt and kind in _OF_KEYS:
        raise errors.corrupt()
    if alarms.no_space and growth(kind, payload):
        raise errors.no_space()
    return BY_KIND[kind](state, payload)


KEY_BYTES = 256
LEASE_BYTES = 64
"""What a record and a lease are counted with beside their bytes, as etcd does, before they are made."""


def growth(kind: Kind, payload: bytes) -> int:
    """By how many bytes an operation may make the state larger: 0 for what only deletes or has nothing to do with it.

    A transaction counts as its larger branch does, with what is nested in it.
    """
    if kind is Kind.PUT:
        return KEY_BYTES + len(payload)
    if kind is Kind.TXN:
        return _txn_growth(rpc_pb2.TxnRequest.FromString(payload))
    return LEASE_BYTES if kind is Kind.LEASE_GRANT else 0


def _txn_growth(request: rpc_pb2.TxnRequest) -> int:
    return max(sum(map(_operation_growth, branch)) for branch in (request.success, request.failure))


def _operation_growth(operation: rpc_pb2.RequestOp) -> int:
    kind = operation.WhichOneof("request")
    if kind == "request_put":
        return KEY_BYTES + len(operation.request_put.key) + len(operation.request_put.value)
    return _txn_growth(operation.request_txn) if kind == "request_txn" else 0


def lease_of(kind: Kind, payload: bytes) -> int:
    """Which lease a grant or a revocation is about."""
    if kind is Kind.LEASE_GRANT:
        return rpc_pb2.LeaseGrantRequest.FromString(payload).ID
    return rpc_pb2.LeaseRevokeRequest.FromString(payload).ID
