"""Where the store means to answer otherwise than Debian's etcd 3.4. Everything that is not in this table is a bug.

`INTENDED` is asked of every difference that random sequences find; `SINGLE` are requests that they do not draw, since
etcd 3.4 does not survive some of them: what each of the two answers is compared with what is written here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import Message
from raftsman.etcd import auth_pb2, kv_pb2, rpc_pb2
from sides import Outcome
from steps import Step

_Compare, _Permission = rpc_pb2.Compare, auth_pb2.Permission
_UNKNOWN = 9


@dataclass(frozen=True)
class Difference:
    """`holds` recognises it and nothing else."""

    reason: str
    holds: Callable[[Step, Outcome, Outcome], bool]


def _hash_at_the_compacted_revision(step: Step, etcd: Outcome, ours: Outcome) -> bool:
    refused = etcd.text == "etcdserver: mvcc: required revision has been compacted"
    return step.name == "Maintenance.HashKV" and refused and isinstance(ours.answer, rpc_pb2.HashKVResponse)


INTENDED: tuple[Difference, ...] = (
    Difference(
        "etcd 3.4 refuses a hash at the very revision that was compacted at, 3.5 and the store answer it",
        _hash_at_the_compacted_revision,
    ),
)


def intended(step: Step, etcd: Outcome, ours: Outcome) -> bool:
    return any(difference.holds(step, etcd, ours) for difference in INTENDED)


def lost_by_etcd(events: list[kv_pb2.Event], compactions: set[int]) -> list[kv_pb2.Event]:
    """Without deletes at a revision that was compacted at: etcd 3.4 forgets them although that revision is readable."""
    return [event for event in events if event.type != kv_pb2.Event.DELETE or event.kv.mod_revision not in compactions]


@dataclass(frozen=True)
class Single:
    """One request and what both say: the code and a part of the answer or of the error's text."""

    reason: str
    name: str
    request: Message
    etcd: tuple[str, str]
    ours: tuple[str, str]


def _txn(compare: rpc_pb2.Compare) -> rpc_pb2.TxnRequest:
    return rpc_pb2.TxnRequest(compare=[compare])


def _nested(depth: int) -> rpc_pb2.TxnRequest:
    request = rpc_pb2.TxnRequest()
    for _ in range(depth):
        request = rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_txn=request)])
    return request


def _grant(key: bytes, range_end: bytes) -> rpc_pb2.AuthRoleGrantPermissionRequest:
    return rpc_pb2.AuthRoleGrantPermissionRequest(name="single", perm=_Permission(key=key, range_end=range_end))


_TAKEN = ("OK", "")
_REFUSED_SORT = ("INVALID_ARGUMENT", "etcdserver: invalid sort option")
_REFUSED_PERMISSION = ("INVALID_ARGUMENT", "etcdserver: invalid auth management")

SINGLE: tuple[Single, ...] = (
    Single(
        "etcd 3.4 ignores an unknown order, 3.5 and the store refuse it",
        "KV.Range",
        rpc_pb2.RangeRequest(key=b"a", sort_order=_UNKNOWN),  # type: ignore[arg-type]
        _TAKEN,
        _REFUSED_SORT,
    ),
    Single(
        "etcd takes any comparison to hold that it does not know; the store refuses it",
        "KV.Txn",
        _txn(_Compare(key=b"a", result=_UNKNOWN)),  # type: ignore[arg-type]
        _TAKEN,
        ("INVALID_ARGUMENT", "unknown compare result or target"),
    ),
    Single(
        "the same of what is compared",
        "KV.Txn",
        _txn(_Compare(key=b"a", target=_UNKNOWN)),  # type: ignore[arg-type]
        _TAKEN,
        ("INVALID_ARGUMENT", "unknown compare result or target"),
    ),
    Single(
        "etcd nests transactions as deep as a request can hold; the store 16 deep, since every level is walked",
        "KV.Txn",
        _nested(20),
        _TAKEN,
        ("INVALID_ARGUMENT", "transactions nested deeper than 16"),
    ),
    Single(
        "a request beyond half a mebibyte over the limit: gRPC refuses it for etcd, the store in etcd's words",
        "KV.Put",
        rpc_pb2.PutRequest(key=b"a", value=bytes(3 << 20)),
        ("RESOURCE_EXHAUSTED", "larger than max"),
        ("INVALID_ARGUMENT", "etcdserver: request is too large"),
    ),
    Single(
        "etcd 3.4 shows what was granted to the role root, 3.5 and the store that it may do everything",
        "Auth.RoleGet",
        rpc_pb2.AuthRoleGetRequest(role="root"),
        _TAKEN,
        ("OK", "permType: READWRITE"),
    ),
    Single(
        "etcd 3.4 grants a range that ends before it starts, 3.5 and the store refuse it",
        "Auth.RoleGrantPermission",
        _grant(b"b", b"a"),
        _TAKEN,
        _REFUSED_PERMISSION,
    ),
    Single(
        "the same of a permission without a key",
        "Auth.RoleGrantPermission",
        _grant(b"", b""),
        _TAKEN,
        _REFUSED_PERMISSION,
    ),
    Single(
        "etcd 3.4 takes a watch from before the first revision and ends it once something was compacted",
        "Watch.create",
        rpc_pb2.WatchCreateRequest(key=b"a", start_revision=-1),
        _TAKEN,
        ("OK", "required revision has been compacted"),
    ),
    Single(
        "etcd 3.4 ends (all members, if it came in a transaction); 3.5 and the store refuse it",
        "KV.Range",
        rpc_pb2.RangeRequest(key=b"\0", range_end=b"\0", limit=1, sort_target=_UNKNOWN),  # type: ignore[arg-type]
        ("UNAVAILABLE", ""),
        _REFUSED_SORT,
    ),
)
