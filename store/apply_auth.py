"""Authentication in the log: what its own entries do, and who may have which effect, asked when it takes effect.

The member that proposed a request let its user in; that the user may do it is decided here, where every member knows
the same users and roles. Only API calls have a user: what the store does by itself is `auth.ITSELF`. A kind that is not
listed needs the role root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
from google.protobuf.message import Message
from raftsman.etcd import rpc_pb2
from raftsman.store import errors
from raftsman.store.commands import Kind
from raftsman.store.mvcc import State
from raftsman.store.mvcc.auth import Who


class Authentication(msgspec.Struct, frozen=True, array_like=True):
    """The payload of AUTHENTICATE: a token's digest, and the auth revision at which the password was right."""

    user: str
    digest: bytes
    issued_s: int
    revision: int


_authentication = msgspec.msgpack.Decoder(Authentication)

# -- who may


def permit(state: State, kind: Kind, payload: bytes, who: Who) -> None:
    """Raises user_empty, old_auth_revision, permission_denied. Ask only while authentication is enabled."""
    check = _CHECKS.get(kind)
    if check is None:
        state.auth.check_admin(who)
    else:
        check(state, payload, who)


def check_put(state: State, request: rpc_pb2.PutRequest, who: Who) -> None:
    """A lease that holds what the user may not write is none of his: it could be revoked by its other keys' owner."""
    state.auth.check_write(who, request.key)
    if request.lease:
        check_lease(state, request.lease, who)
    if request.prev_kv:
        state.auth.check_read(who, request.key)


def check_delete(state: State, request: rpc_pb2.DeleteRangeRequest, who: Who) -> None:
    state.auth.check_write(who, request.key, request.range_end)
    if request.prev_kv:
        state.auth.check_read(who, request.key, request.range_end)


def check_txn(state: State, request: rpc_pb2.TxnRequest, who: Who) -> None:
    """Both branches, and what is nested in them: which one is taken must not tell what may not be read."""
    state.auth.check_user(who)
    for compare in request.compare:
        state.auth.check_read(who, compare.key, compare.range_end)
    for operations in (request.success, request.failure):
        _check_operations(state, operations, who)


def _check_operations(state: State, operations: Iterable[rpc_pb2.RequestOp], who: Who) -> None:
    for operation in operations:
        kind = operation.WhichOneof("request")
        if kind == "request_range":
            state.auth.check_read(who, operation.request_range.key, operation.request_range.range_end)
        elif kind == "request_put":
            check_put(state, operation.request_put, who)
        elif kind == "request_delete_range":
            check_delete(state, operation.request_delete_range, who)
        elif kind == "request_txn":
            check_txn(state, operation.request_txn, who)


def check_lease(state: State, lease_id: int, who: Who) -> None:
    """Write permission for every key on a lease; an unknown lease is refused elsewhere."""
    lease = state.leases.get(lease_id)
    for key in lease.keys if lease is not None and state.auth.enabled else ():
        state.auth.check_write(who, key)


def check_lease_read(state: State, lease_id: int, who: Who) -> None:
    """Read permission for every key on a lease."""
    lease = state.leases.get(lease_id)
    for key in lease.keys if lease is not None and state.auth.enabled else ():
        state.auth.check_read(who, key)


def _put(state: State, payload: bytes, who: Who) -> None:
    check_put(state, rpc_pb2.PutRequest.FromString(payload), who)


def _delete_range(state: State, payload: bytes, who: Who) -> None:
    check_delete(state, rpc_pb2.DeleteRangeRequest.FromString(payload), who)


def _txn(state: State, payload: bytes, who: Who) -> None:
    check_txn(state, rpc_pb2.TxnRequest.FromString(payload), who)


def _lease_grant(state: State, payload: bytes, who: Who) -> None:
    state.auth.check_user(who)


def _session_open(state: State, payload: bytes, who: Who) -> None:
    state.auth.check_user(who)


def _lease_revoke(state: State, payload: bytes, who: Who) -> None:
    state.auth.check_user(who)
    check_lease(state, rpc_pb2.LeaseRevokeRequest.FromString(payload).ID, who)


def _anybody(state: State, payload: bytes, who: Who) -> None:
    """AUTHENTICATE has no user yet. Members change in the Raft thread first: their admission is the API's."""


_CHECKS: dict[Kind, Callable[[State, bytes, Who], None]] = {
    Kind.PUT: _put,
    Kind.DELETE_RANGE: _delete_range,
    Kind.TXN: _txn,
    Kind.LEASE_GRANT: _lease_grant,
    Kind.LEASE_REVOKE: _lease_revoke,
    Kind.SESSION_OPEN: _session_open,
    Kind.AUTHENTICATE: _anybody,
    Kind.CLUSTER_MEMBER: _anybody,
    Kind.CLUSTER_PUBLISH: _anybody,
}

# -- what the kinds do


def _enable(state: State, payload: bytes) -> Message:
    state.auth.enable()
    return rpc_pb2.AuthEnableResponse()


def _disable(state: State, payload: bytes) -> Message:
    state.auth.disable()
    return rpc_pb2.AuthDisableResponse()


def _authenticate(state: State, payload: bytes) -> Message:
    given = _authentication.decode(payload)
    state.auth.authenticate(given.user, given.digest, issued_s=given.issued_s, revision=given.revision)
    return rpc_pb2.AuthenticateResponse()


def _user_add(state: State, payload: bytes) -> Message:
    request = rpc_pb2.AuthUserAddRequest.FromString(payload)
    no_password = request.options.no_password
    state.auth.user_add(request.name, request.hashedPassword.encode(), no_password=no_password)
    return rpc_pb2.AuthUserAddResponse()


def _user_delete(state: State, payload: bytes) -> Message:
    state.auth.user_delete(rpc_pb2.AuthUserDeleteRequest.FromString(payload).name)
    return rpc_pb2.AuthUserDeleteResponse()


def _user_change_password(state: State, payload: bytes) -> Message:
    request = rpc_pb2.AuthUserChangePasswordRequest.FromString(payload)
    state.auth.user_change_password(request.name, request.hashedPassword.encode())
    return rpc_pb2.AuthUserChangePasswordResponse()


def _user_grant_role(state: State, payload: bytes) -> Message:
    request = rpc_pb2.AuthUserGrantRoleRequest.FromString(payload)
    state.auth.user_grant_role(request.user, request.role)
    return rpc_pb2.AuthUserGrantRoleResponse()


def _user_revoke_role(state: State, payload: bytes) -> Message:
    request = rpc_pb2.AuthUserRevokeRoleRequest.FromString(payload)
    state.auth.user_revoke_role(request.name, request.role)
    return rpc_pb2.AuthUserRevokeRoleResponse()


def _role_add(state: State, payload: bytes) -> Message:
    state.auth.role_add(rpc_pb2.AuthRoleAddRequest.FromString(payload).name)
    return rpc_pb2.AuthRoleAddResponse()


def _role_delete(state: State, payload: bytes) -> Message:
    state.auth.role_delete(rpc_pb2.AuthRoleDeleteRequest.FromString(payload).role)
    return rpc_pb2.AuthRoleDeleteResponse()


def _role_grant_permission(state: State, payload: bytes) -> Message:
    request = rpc_pb2.AuthRoleGrantPermissionRequest.FromString(payload)
    if not request.HasField("perm"):
        raise errors.permission_not_given()
    state.auth.role_grant_permission(request.name, request.perm)
    return rpc_pb2.AuthRoleGrantPermissionResponse()


def _role_revoke_permission(state: State, payload: bytes) -> Message:
    request = rpc_pb2.AuthRoleRevokePermissionRequest.FromString(payload)
    state.auth.role_revoke_permission(request.role, request.key, request.range_end)
    return rpc_pb2.AuthRoleRevokePermissionResponse()


BY_KIND: dict[Kind, Callable[[State, bytes], Message]] = {
    Kind.AUTH_ENABLE: _enable,
    Kind.AUTH_DISABLE: _disable,
    Kind.AUTHENTICATE: _authenticate,
    Kind.USER_ADD: _user_add,
    Kind.USER_DELETE: _user_delete,
    Kind.USER_CHANGE_PASSWORD: _user_change_password,
    Kind.USER_GRANT_ROLE: _user_grant_role,
    Kind.USER_REVOKE_ROLE: _user_revoke_role,
    Kind.ROLE_ADD: _role_add,
    Kind.ROLE_DELETE: _role_delete,
    Kind.ROLE_GRANT_PERMISSION: _role_grant_permission,
    Kind.ROLE_REVOKE_PERMISSION: _role_revoke_permission,
}
