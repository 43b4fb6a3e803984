"""Users, roles and permissions: etcd's rules, what an entry may do when it takes effect, what a snapshot keeps."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import msgspec
import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from raftsman.etcd import auth_pb2, rpc_pb2
from raftsman.store import apply, apply_auth, errors
from raftsman.store.commands import Kind
from raftsman.store.mvcc import State
from raftsman.store.mvcc.auth import ITSELF, NOBODY, TOKENS_MAX, Auth, Who
from raftsman.store.mvcc.index import contains

Permission = auth_pb2.Permission
READ, WRITE, BOTH = Permission.READ, Permission.WRITE, Permission.READWRITE
Put, Range, Delete, Txn = rpc_pb2.PutRequest, rpc_pb2.RangeRequest, rpc_pb2.DeleteRangeRequest, rpc_pb2.TxnRequest


def with_user(*permissions: Permission, enabled: bool = True) -> Auth:
    """root, and a user u with a role r that has these permissions."""
    auth = Auth()
    auth.user_add("root", b"hash")
    auth.user_grant_role("root", "root")
    auth.user_add("u", b"hash")
    auth.role_add("r")
    auth.user_grant_role("u", "r")
    for permission in permissions:
        auth.role_grant_permission("r", permission)
    if enabled:
        auth.enable()
    return auth


def grant(kind: int, key: bytes, range_end: bytes = b"") -> Permission:
    return Permission(permType=kind, key=key, range_end=range_end)  # type: ignore[arg-type]


def may(auth: Auth, check: Callable[..., None], key: bytes, range_end: bytes = b"") -> bool:
    try:
        check(Who("u", auth.revision), key, range_end)
    except errors.StoreError as error:
        if error.code is not grpc.StatusCode.PERMISSION_DENIED:
            raise
        return False
    return True


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(errors.StoreError) as caught:
        call()
    return caught.value.text.removeprefix("etcdserver: ")


# -- ranges


def test_ranges_that_touch_count_as_one() -> None:
    auth = with_user(grant(READ, b"a", b"c"), grant(READ, b"b", b"d"), grant(READ, b"d"), grant(READ, b"x"))
    assert may(auth, auth.check_read, b"a", b"d")
    assert may(auth, auth.check_read, b"a", b"d\0")
    assert not may(auth, auth.check_read, b"a", b"e")
    assert may(auth, auth.check_read, b"x")
    assert not may(auth, auth.check_read, b"x", b"y")
    assert not may(auth, auth.check_write, b"a")


def test_a_range_without_end_needs_a_permission_without_end() -> None:
    """A permission for one key said nothing about what follows: etcd had this wrong for watches."""
    auth = with_user(grant(BOTH, b"k"), grant(READ, b"m", b"\0"))
    assert may(auth, auth.check_read, b"k")
    assert not may(auth, auth.check_read, b"k", b"\0")
    assert may(auth, auth.check_read, b"m", b"\0")
    assert may(auth, auth.check_read, b"z" * 50)


def test_a_reversed_range_still_needs_its_key() -> None:
    auth = with_user(grant(READ, b"k"))
    assert may(auth, auth.check_read, b"k", b"a")
    assert not may(auth, auth.check_read, b"l", b"a")


KEYS = st.binary(min_size=1, max_size=2).map(lambda raw: bytes(byte % 4 for byte in raw))
ENDS = st.one_of(st.just(b""), st.just(b"\0"), KEYS)


@given(st.lists(st.tuples(KEYS, ENDS), max_size=5), KEYS, ENDS)
def test_what_is_covered_is_what_the_grants_hold_key_by_key(
    grants: list[tuple[bytes, bytes]], key: bytes, range_end: bytes
) -> None:
    valid = [each for each in grants if not each[1] or each[1] == b"\0" or each[1] > each[0]]
    auth = with_user(*(grant(READ, *each) for each in valid))
    everything = [bytes(key) for length in range(1, 5) for key in _words(length)]
    asked = [candidate for candidate in everything if contains(key, range_end, candidate)]
    covered = all(any(contains(*each, candidate) for each in valid) for candidate in asked or [key])
    assert may(auth, auth.check_read, key, range_end) == covered


def _words(length: int) -> list[tuple[int, ...]]:
    words: list[tuple[int, ...]] = [()]
    for _ in range(length):
        words = [(*word, letter) for word in words for letter in (0, 1, 2, 3)]
    return words


# -- etcd's rules about users and roles


def test_enabling_needs_root_with_the_role_root() -> None:
    auth = Auth()
    assert refused(auth.enable) == "root user does not exist"
    auth.user_add("root", b"hash")
    assert refused(auth.enable) == "root user does not have root role"
    auth.user_grant_role("root", "root")
    auth.enable()
    assert auth.enabled


def test_root_cannot_be_taken_apart_while_enabled() -> None:
    auth = with_user()
    auth.role_add("root")
    for attempt in (
        lambda: auth.user_delete("root"),
        lambda: auth.user_revoke_role("root", "root"),
        lambda: auth.role_delete("root"),
    ):
        assert refused(attempt) == "invalid auth management"
    auth.disable()
    auth.user_revoke_role("root", "root")
    auth.user_delete("root")


def test_what_is_wrong_is_told_as_etcd_does() -> None:
    auth = with_user(grant(READ, b"a"))
    told = {
        "user name is empty": lambda: auth.user_add("", b""),
        "user name already exists": lambda: auth.user_add("u", b""),
        "user name not found": lambda: auth.user_delete("x"),
        "role name is empty": lambda: auth.role_add(""),
        "role name already exists": lambda: auth.role_add("r"),
        "role name not found": lambda: auth.user_grant_role("u", "x"),
        "role is not granted to the user": lambda: auth.user_revoke_role("root", "r"),
        "permission is not granted to the role": lambda: auth.role_revoke_permission("r", b"a", b"b"),
        "invalid auth management": lambda: auth.role_grant_permission("r", grant(READ, b"b", b"a")),
        "authentication failed, invalid user ID or password": lambda: auth.authenticate(
            "x", b"", issued_s=0, revision=auth.revision
        ),
    }
    revision = auth.revision
    for text, attempt in told.items():
        assert refused(attempt) == text
    assert auth.revision == revision


def test_a_deleted_role_leaves_its_users() -> None:
    auth = with_user(grant(READ, b"a"))
    assert may(auth, auth.check_read, b"a")
    auth.role_delete("r")
    assert auth.roles_of("u") == []
    assert not may(auth, auth.check_read, b"a")


def test_a_grant_for_the_same_range_replaces_its_type() -> None:
    auth = with_user(grant(READ, b"a"))
    auth.role_grant_permission("r", grant(WRITE, b"a"))
    assert [each.permType for each in auth.permissions("r")] == [WRITE]
    assert not may(auth, auth.check_read, b"a")


def test_what_was_allowed_before_a_change_is_refused_after_it() -> None:
    auth = with_user(grant(BOTH, b"a"))
    before = Who("u", auth.revision)
    auth.check_write(before, b"a")
    auth.user_add("other", b"")
    assert refused(lambda: auth.check_write(before, b"a")) == "revision of auth store is old"
    assert refused(lambda: auth.check_write(NOBODY, b"a")) == "user name is empty"
    auth.check_write(ITSELF, b"a")


def test_tokens_end_with_their_user_and_are_bounded() -> None:
    auth = with_user()
    for number in range(TOKENS_MAX + 1):
        auth.authenticate("u", b"%d" % number, issued_s=0, revision=auth.revision)
    assert len(auth.tokens) == TOKENS_MAX
    assert b"0" not in auth.tokens
    auth.user_change_password("u", b"other")
    assert not auth.tokens
    assert refused(lambda: auth.authenticate("u", b"late", issued_s=0, revision=1)) == "revision of auth store is old"


# -- what an entry may do when it takes effect


def state_of(*permissions: Permission) -> State:
    state = State()
    state.put(Put(key=b"other", value=b"secret"))
    state.grant(7, 60)
    state.put(Put(key=b"other/leased", lease=7))
    state.auth = with_user(*permissions)
    state.parts["auth"] = state.auth
    return state


def do(state: State, kind: Kind, request: Message, who: Who | None = None) -> Message:
    who = who or Who("u", state.auth.revision)
    return apply.message_of(apply.execute(state, kind, request.SerializeToString(), who))


def nested(operation: rpc_pb2.RequestOp) -> Txn:
    inner = Txn(failure=[operation])
    return Txn(success=[rpc_pb2.RequestOp(request_txn=Txn(success=[rpc_pb2.RequestOp(request_txn=inner)]))])


OP = rpc_pb2.RequestOp
DENIED: list[tuple[Kind, Message]] = [
    (Kind.PUT, Put(key=b"other")),
    (Kind.PUT, Put(key=b"w", prev_kv=True)),
    (Kind.PUT, Put(key=b"w", lease=7)),
    (Kind.DELETE_RANGE, Delete(key=b"other")),
    (Kind.DELETE_RANGE, Delete(key=b"w", range_end=b"\0")),
    (Kind.DELETE_RANGE, Delete(key=b"w", prev_kv=True)),
    (Kind.TXN, Txn(compare=[rpc_pb2.Compare(key=b"other")])),
    (Kind.TXN, Txn(compare=[rpc_pb2.Compare(key=b"r", range_end=b"\0")])),
    (Kind.TXN, Txn(success=[OP(request_range=Range(key=b"other"))])),
    (Kind.TXN, Txn(failure=[OP(request_range=Range(key=b"r", range_end=b"\0"))])),
    (Kind.TXN, nested(OP(request_range=Range(key=b"other")))),
    (Kind.TXN, nested(OP(request_put=Put(key=b"w", prev_kv=True)))),
    (Kind.TXN, nested(OP(request_put=Put(key=b"w", lease=7)))),
    (Kind.TXN, nested(OP(request_delete_range=Delete(key=b"other")))),
    (Kind.LEASE_REVOKE, rpc_pb2.LeaseRevokeRequest(ID=7)),
    (Kind.COMPACT, rpc_pb2.CompactionRequest(revision=2)),
    (Kind.ALARM, rpc_pb2.AlarmRequest(action=rpc_pb2.AlarmRequest.ACTIVATE, alarm=rpc_pb2.NOSPACE)),
    (Kind.AUTH_DISABLE, rpc_pb2.AuthDisableRequest()),
    (Kind.USER_ADD, rpc_pb2.AuthUserAddRequest(name="x")),
    (Kind.USER_GRANT_ROLE, rpc_pb2.AuthUserGrantRoleRequest(user="u", role="root")),
]


@pytest.mark.parametrize(("kind", "request_"), DENIED, ids=lambda each: each.name if isinstance(each, Kind) else "")
def test_what_a_user_may_not_is_refused_by_the_state_itself(kind: Kind, request_: Message) -> None:
    state = state_of(grant(READ, b"r"), grant(WRITE, b"w"))
    revision, auth_revision = state.revision, state.auth.revision
    assert refused(lambda: do(state, kind, request_)) == "permission denied"
    assert refused(lambda: do(state, kind, request_, NOBODY)) == "user name is empty"
    assert (state.revision, state.auth.revision) == (revision, auth_revision)
    do(state, kind, request_, Who("root", state.auth.revision))


def test_what_a_user_may_is_done() -> None:
    state = state_of(grant(READ, b"r"), grant(WRITE, b"w"))
    assert do(state, Kind.PUT, Put(key=b"w")).header.revision == state.revision  # type: ignore[attr-defined]
    do(state, Kind.TXN, Txn(compare=[rpc_pb2.Compare(key=b"r")], success=[OP(request_put=Put(key=b"w"))]))
    do(state, Kind.LEASE_GRANT, rpc_pb2.LeaseGrantRequest(ID=8, TTL=5))
    do(state, Kind.PUT, Put(key=b"w", lease=8))
    do(state, Kind.LEASE_REVOKE, rpc_pb2.LeaseRevokeRequest(ID=8))
    do(state, Kind.LEASE_REVOKE, rpc_pb2.LeaseRevokeRequest(ID=7), ITSELF)


def test_an_alarm_ends_no_permission() -> None:
    """etcd 3.5 lost its permission checks while a NOSPACE alarm was raised."""
    state = state_of(grant(WRITE, b"w"))
    state.alarms.activate(int(rpc_pb2.NOSPACE), 1)
    for kind, request in DENIED:
        assert refused(lambda kind=kind, request=request: do(state, kind, request)) == "permission denied"  # type: ignore[misc]


def test_every_kind_that_is_not_listed_needs_root() -> None:
    state = state_of()
    listed = set(apply_auth._CHECKS)
    for kind in set(Kind) - listed:
        with pytest.raises(errors.StoreError) as caught:
            apply_auth.permit(state, kind, b"", Who("u", state.auth.revision))
        assert caught.value.code is grpc.StatusCode.PERMISSION_DENIED


def test_a_snapshot_keeps_who_may_what() -> None:
    auth = with_user(grant(READ, b"a", b"c"))
    auth.authenticate("u", b"digest", issued_s=5, revision=auth.revision)
    dumped = msgspec.msgpack.decode(msgspec.msgpack.encode(auth.dump()))
    auth.user_delete("u")
    kept = Auth()
    kept.load(dumped)
    assert may(kept, kept.check_read, b"b")
    assert kept.tokens == {b"digest": ("u", 5)}
    assert kept.enabled
    assert msgspec.msgpack.encode(kept.dump()) == msgspec.msgpack.encode(dumped)
