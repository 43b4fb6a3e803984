"""Steps of a sequence, and their generator: everything that a client may ask of etcd's API, and much that it may not.

A sequence comes from a seed and from nothing else. Revisions in requests are relative where they are near NOW: NOW - 3
is three revisions before the newest one when the step is made. Keys, leases and users come from small pools, so that
steps meet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from google.protobuf import text_format
from google.protobuf.message import Message
from raftsman.etcd import auth_pb2, rpc_pb2

NOW = 1 << 40
LARGE_BYTES = 1_700_000
"""More than a request may have, less than gRPC refuses by itself."""
ODD = 0.04
NEAR = 1 << 20
"""Numbers this near to NOW are relative revisions."""
LEASES = range(101, 107)
USERS = ("alice", "bob", "carol")
ROLES = ("reader", "writer", "auditor")
_KEYS = (b"a", b"aa", b"ab", b"b", b"ba", b"c", b"d/1", b"d/2", b"\0", b"\xff")
_ENDS = (b"b", b"ab", b"d/", b"d0", b"e", b"\xff\xff")
_VALUES = (b"", b"0", b"1", b"10", b"value", b"\0\xff")
_HUGE = (1 << 63) - 1
_LARGE_TEXT = "\\000" * LARGE_BYTES
_Range, _Compare = rpc_pb2.RangeRequest, rpc_pb2.Compare


@dataclass(frozen=True)
class Step:
    """One call. `name` is the RPC's; of a watch stream it is what is asked of it."""

    name: str
    request: Message

    def __repr__(self) -> str:
        text = text_format.MessageToString(self.request, as_one_line=True)
        return f"{self.name} {{ {text.replace(_LARGE_TEXT, '(large)')} }}"


class Generator:
    """Draws steps. `odd` is the share of fields that make no sense."""

    def __init__(self, random: Random, *, odd: float = ODD) -> None:
        self._random = random
        self._odd = odd

    def sequence(self, kinds: dict[str, int], length: int) -> list[Step]:
        """Steps of these kinds (methods of this class), as often as they weigh."""
        names = self._random.choices(list(kinds), list(kinds.values()), k=length)
        return [self._make(name) for name in names]

    def _make(self, name: str) -> Step:
        make: Callable[[], Step] = getattr(self, name)
        return make()

    # -- fields

    def _maybe(self, share: float = 0.5) -> bool:
        return self._random.random() < share

    def _strange(self) -> bool:
        return self._maybe(self._odd)

    def _key(self) -> bytes:
        return b"" if self._strange() else self._random.choice(_KEYS)

    def _end(self, key: bytes) -> bytes:
        if self._maybe(0.45):
            return b""
        if self._strange():
            return self._random.choice([key, b"a", b"\0\0"])
        return self._random.choice([b"\0", *(end for end in _ENDS if end > key), key + b"\0"])

    def _value(self) -> bytes:
        return self._random.choice(_VALUES)

    def _revision(self) -> int:
        if self._strange():
            return self._random.choice([-1, 1, _HUGE, NOW + 1, NOW + 100, NOW - 1000])
        return NOW - int(self._random.expovariate(0.2))

    def _lease(self) -> int:
        return self._random.choice([-1, 999, _HUGE]) if self._strange() else self._random.choice(LEASES)

    # -- KV

    def _range_request(self) -> rpc_pb2.RangeRequest:
        key = self._key()
        request = _Range(key=key, range_end=self._end(key))
        if self._maybe(0.3):
            request.revision = self._revision()
        if self._maybe(0.3):
            request.limit = self._random.choice([1, 2, 3, 5, *([-1, 0, _HUGE] if self._strange() else [])])
        if self._maybe(0.4):
            request.sort_order = self._random.randrange(3)  # type: ignore[assignment]
            request.sort_target = self._random.randrange(5)  # type: ignore[assignment]
        request.serializable = self._maybe(0.2)
        request.keys_only = self._maybe(0.15)
        request.count_only = self._maybe(0.1)
        for bound in ("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"):
            if self._maybe(0.1):
                setattr(request, bound, self._revision())
        return request

    def _put_request(self) -> rpc_pb2.PutRequest:
        request = rpc_pb2.PutRequest(key=self._key(), value=self._value(), prev_kv=self._maybe(0.3))
        if self._maybe(0.2):
            request.lease = self._lease()
        if self._maybe(0.1):
            request.ignore_value = True
            request.value = b"" if not self._strange() else b"x"
        if self._maybe(0.1):
            request.ignore_lease = True
            request.lease = 0 if not self._strange() else request.lease
        return request

    def _delete_request(self) -> rpc_pb2.DeleteRangeRequest:
        key = self._key()
        return rpc_pb2.DeleteRangeRequest(key=key, range_end=self._end(key), prev_kv=self._maybe(0.3))

    def _compare(self) -> rpc_pb2.Compare:
        key = self._key()
        compare = _Compare(
            key=key,
            range_end=self._end(key) if self._maybe(0.3) else b"",
            result=self._random.randrange(4),  # type: ignore[arg-type]
        )
        target = self._random.randrange(5)
        for place, field in enumerate(("version", "create_revision", "mod_revision", "value", "lease")):
            if place != target:
                continue
            if field == "value":
                compare.value = self._value()
            elif field == "version":
                compare.version = self._random.choice([0, 1, 2, 3])
            elif field == "lease":
                compare.lease = self._random.choice([0, *LEASES])
            else:
                setattr(compare, field, self._random.choice([0, self._revision()]))
        compare.target = target  # type: ignore[assignment]
        if self._strange():
            compare.target = self._random.randrange(5)  # type: ignore[assignment]
        return compare

    def _txn_request(self, depth: int = 0) -> rpc_pb2.TxnRequest:
        count = self._random.choice([0, 1, 1, 2, 3])
        request = rpc_pb2.TxnRequest(compare=[self._compare() for _ in range(count)])
        for branch in (request.success, request.failure):
            used: set[bytes] = set()
            for _ in range(self._random.choice([0, 1, 1, 2, 3])):
                branch.append(self._operation(depth, used))
        if not depth and self._maybe(self._odd / 4):
            request.success.extend([rpc_pb2.RequestOp(request_range=_Range(key=b"a"))] * 129)
        return request

    def _operation(self, depth: int, used: set[bytes]) -> rpc_pb2.RequestOp:
        kind = self._random.random()
        if self._strange() and self._maybe():
            return rpc_pb2.RequestOp()
        if kind < 0.15 and depth < 3:
            return rpc_pb2.RequestOp(request_txn=self._txn_request(depth + 1))
        if kind < 0.45:
            return rpc_pb2.RequestOp(request_range=self._range_request())
        if kind < 0.6:
            return rpc_pb2.RequestOp(request_delete_range=self._delete_request())
        put = self._put_request()
        if put.key in used and not self._strange():
            return rpc_pb2.RequestOp(request_range=_Range(key=put.key))
        used.add(put.key)
        return rpc_pb2.RequestOp(request_put=put)

    def range(self) -> Step:
        return Step("KV.Range", self._range_request())

    def put(self) -> Step:
        request = self._put_request()
        if self._maybe(self._odd / 8):
            request.value = bytes(LARGE_BYTES)
        return Step("KV.Put", request)

    def delete(self) -> Step:
        return Step("KV.DeleteRange", self._delete_request())

    def txn(self) -> Step:
        return Step("KV.Txn", self._txn_request())

    def compact(self) -> Step:
        revision = self._random.choice([0, -5, NOW + 3]) if self._strange() else self._revision()
        return Step("KV.Compact", rpc_pb2.CompactionRequest(revision=revision, physical=self._maybe(0.2)))

    # -- leases

    def grant(self) -> Step:
        ttl = (
            self._random.choice([0, -1, 9_000_000_001, _HUGE]) if self._strange() else self._random.choice([500, 9999])
        )
        lease = -7 if self._strange() else self._random.choice(LEASES)
        return Step("Lease.LeaseGrant", rpc_pb2.LeaseGrantRequest(ID=lease, TTL=ttl))

    def revoke(self) -> Step:
        return Step("Lease.LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=self._lease()))

    def time_to_live(self) -> Step:
        return Step("Lease.LeaseTimeToLive", rpc_pb2.LeaseTimeToLiveRequest(ID=self._lease(), keys=self._maybe()))

    def leases(self) -> Step:
        return Step("Lease.LeaseLeases", rpc_pb2.LeaseLeasesRequest())

    def keep_alive(self) -> Step:
        return Step("Lease.LeaseKeepAlive", rpc_pb2.LeaseKeepAliveRequest(ID=self._lease()))

    # -- watches

    def watch(self) -> Step:
        key = self._key()
        request = rpc_pb2.WatchCreateRequest(
            key=key, range_end=self._end(key), prev_kv=self._maybe(0.4), fragment=self._maybe(0.1)
        )
        if self._maybe(0.4):
            request.start_revision = max(1, self._revision())
        elif self._maybe(0.15):  # etcd keeps the id of a watch that compaction ended, until it is cancelled
            request.watch_id = self._random.choice([50, 51])
        for kind in (rpc_pb2.WatchCreateRequest.NOPUT, rpc_pb2.WatchCreateRequest.NODELETE):
            if self._maybe(0.15):
                request.filters.append(kind)
        return Step("Watch.create", request)

    def cancel(self) -> Step:
        return Step(
            "Watch.cancel", rpc_pb2.WatchCancelRequest(watch_id=self._random.choice([0, 0, 1, 1, 2, 3, 50, 77]))
        )

    # -- users and roles; nobody is told apart

    def user_add(self) -> Step:
        options = auth_pb2.UserAddOptions(no_password=self._maybe(0.2))
        name = "" if self._strange() else self._random.choice(USERS)
        return Step("Auth.UserAdd", rpc_pb2.AuthUserAddRequest(name=name, password="p", options=options))

    def user_get(self) -> Step:
        return Step("Auth.UserGet", rpc_pb2.AuthUserGetRequest(name=self._random.choice(USERS)))

    def user_delete(self) -> Step:
        return Step("Auth.UserDelete", rpc_pb2.AuthUserDeleteRequest(name=self._random.choice(USERS)))

    def user_list(self) -> Step:
        return Step("Auth.UserList", rpc_pb2.AuthUserListRequest())

    def user_password(self) -> Step:
        name = self._random.choice(USERS)
        return Step("Auth.UserChangePassword", rpc_pb2.AuthUserChangePasswordRequest(name=name, password="q"))

    def user_grant(self) -> Step:
        user, role = self._random.choice(USERS), self._random.choice((*ROLES, "root"))
        return Step("Auth.UserGrantRole", rpc_pb2.AuthUserGrantRoleRequest(user=user, role=role))

    def user_revoke(self) -> Step:
        user, role = self._random.choice(USERS), self._random.choice((*ROLES, "root"))
        return Step("Auth.UserRevokeRole", rpc_pb2.AuthUserRevokeRoleRequest(name=user, role=role))

    def role_add(self) -> Step:
        name = "" if self._strange() else self._random.choice(ROLES)
        return Step("Auth.RoleAdd", rpc_pb2.AuthRoleAddRequest(name=name))

    def role_get(self) -> Step:
        return Step("Auth.RoleGet", rpc_pb2.AuthRoleGetRequest(role=self._random.choice(ROLES)))

    def role_delete(self) -> Step:
        return Step("Auth.RoleDelete", rpc_pb2.AuthRoleDeleteRequest(role=self._random.choice(ROLES)))

    def role_list(self) -> Step:
        return Step("Auth.RoleList", rpc_pb2.AuthRoleListRequest())

    def role_grant(self) -> Step:
        """Of ranges that make sense: etcd 3.4 takes the others too."""
        key, kind = self._random.choice(_KEYS), self._random.randrange(3)
        end = self._random.choice([b"", b"\0", key + b"\0", key + b"z"])
        permission = auth_pb2.Permission(permType=kind, key=key, range_end=end)  # type: ignore[arg-type]
        name = self._random.choice(ROLES)
        return Step("Auth.RoleGrantPermission", rpc_pb2.AuthRoleGrantPermissionRequest(name=name, perm=permission))

    def role_revoke(self) -> Step:
        key = self._key()
        request = rpc_pb2.AuthRoleRevokePermissionRequest(
            role=self._random.choice(ROLES), key=key, range_end=self._end(key)
        )
        return Step("Auth.RoleRevokePermission", request)

    def auth_enable(self) -> Step:
        """Refused: there is no user root."""
        return Step("Auth.AuthEnable", rpc_pb2.AuthEnableRequest())

    def authenticate(self) -> Step:
        request = rpc_pb2.AuthenticateRequest(name=self._random.choice(USERS), password="p")
        return Step("Auth.Authenticate", request)

    # -- the rest

    def hash_kv(self) -> Step:
        return Step("Maintenance.HashKV", rpc_pb2.HashKVRequest(revision=self._revision() if self._maybe() else 0))

    def alarms(self) -> Step:
        return Step("Maintenance.Alarm", rpc_pb2.AlarmRequest())


KV = {"range": 30, "put": 30, "delete": 10, "txn": 25, "compact": 3}
LEASED = {**KV, "grant": 12, "revoke": 8, "time_to_live": 8, "leases": 3, "keep_alive": 4}
WATCHED = {"put": 30, "delete": 10, "txn": 15, "grant": 4, "revoke": 4, "watch": 15, "cancel": 4, "compact": 2}
ADMIN = {
    "user_add": 10,
    "user_get": 8,
    "user_delete": 4,
    "user_list": 3,
    "user_password": 2,
    "user_grant": 8,
    "user_revoke": 5,
    "role_add": 10,
    "role_get": 8,
    "role_delete": 4,
    "role_list": 3,
    "role_grant": 12,
    "role_revoke": 6,
    "auth_enable": 1,
    "authenticate": 1,
}
REST = {"put": 5, "compact": 2, "hash_kv": 5, "alarms": 1}
FAMILIES = {"kv": KV, "leases": LEASED, "watches": WATCHED, "admin": ADMIN, "rest": REST}
