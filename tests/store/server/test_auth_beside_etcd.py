"""Random users, roles and requests against Debian's etcd and the store: the same answers, the same refusals.

Left out is what etcd 3.4 does otherwise than later ones, which had it for a hole: permissions inside nested
transactions and for the lease and the previous value of a put, ranges that end before they begin, what root permits.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import etcds
import grpc.aio
import logins
import members
import pytest
from google.protobuf.message import Message
from logins import Permission
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc

pytestmark = pytest.mark.etcdctl
STEPS = 200
USERS = ("root", "ann", "ben", "")
ROLES = ("root", "r1", "r2", "")
KEYS = (b"a", b"b", b"b/1", b"b/2", b"c")
ENDS = (b"", b"\0", b"b0", b"c", b"d")
Put, Range, Delete, Txn = rpc_pb2.PutRequest, rpc_pb2.RangeRequest, rpc_pb2.DeleteRangeRequest, rpc_pb2.TxnRequest
Step = tuple[str, str, Message, str]
"""Service, method, request, and whose token goes with it."""


def span(draw: random.Random) -> tuple[bytes, bytes]:
    key, range_end = draw.choice(KEYS), draw.choice(ENDS)
    return key, range_end if range_end == b"\0" or range_end > key else b""


def admin(draw: random.Random) -> tuple[str, Message]:
    """A change of users and roles."""
    user, role, (key, range_end) = draw.choice(USERS), draw.choice(ROLES), span(draw)
    permission = Permission(permType=draw.choice(Permission.Type.values()), key=key, range_end=range_end)
    return draw.choice(
        [
            ("UserAdd", rpc_pb2.AuthUserAddRequest(name=user, password="pw")),
            ("UserDelete", rpc_pb2.AuthUserDeleteRequest(name=user)),
            ("UserGet", rpc_pb2.AuthUserGetRequest(name=user or "ann")),
            ("UserList", rpc_pb2.AuthUserListRequest()),
            ("UserChangePassword", rpc_pb2.AuthUserChangePasswordRequest(name=user, password="pw")),
            ("UserGrantRole", rpc_pb2.AuthUserGrantRoleRequest(user=user, role=role)),
            ("UserGrantRole", rpc_pb2.AuthUserGrantRoleRequest(user=user, role=role)),
            ("UserRevokeRole", rpc_pb2.AuthUserRevokeRoleRequest(name=user, role=role)),
            ("RoleAdd", rpc_pb2.AuthRoleAddRequest(name=role)),
            ("RoleAdd", rpc_pb2.AuthRoleAddRequest(name=role)),
            ("RoleDelete", rpc_pb2.AuthRoleDeleteRequest(role=role)),
            ("RoleGet", rpc_pb2.AuthRoleGetRequest(role=role.replace("root", "r1"))),
            ("RoleList", rpc_pb2.AuthRoleListRequest()),
            ("RoleRevokePermission", rpc_pb2.AuthRoleRevokePermissionRequest(role=role, key=key, range_end=range_end)),
            *([("RoleGrantPermission", rpc_pb2.AuthRoleGrantPermissionRequest(name=role, perm=permission))] * 10),
            draw.choice([("AuthEnable", rpc_pb2.AuthEnableRequest()), ("AuthDisable", rpc_pb2.AuthDisableRequest())]),
        ]
    )


def data(draw: random.Random) -> tuple[str, Message]:
    """A request about keys."""
    key, range_end = span(draw)
    compare = rpc_pb2.Compare(key=draw.choice(KEYS), target=rpc_pb2.Compare.VERSION, result=rpc_pb2.Compare.GREATER)
    put = rpc_pb2.RequestOp(request_put=Put(key=draw.choice(KEYS), value=b"t"))
    get = rpc_pb2.RequestOp(request_range=Range(key=key, range_end=range_end))
    return draw.choice(
        [
            ("Put", Put(key=draw.choice(KEYS), value=b"v", prev_kv=draw.random() < 0.3)),
            ("Range", Range(key=key, range_end=range_end)),
            ("Range", Range(key=key, range_end=range_end, serializable=True)),
            ("DeleteRange", Delete(key=key, range_end=range_end, prev_kv=draw.random() < 0.3)),
            ("Txn", Txn(compare=[compare], success=[put], failure=[get])),
            ("Txn", Txn(success=[get])),
        ]
    )


def beginning() -> Iterator[tuple[str, Message]]:
    """What there is before anything is drawn: root, two users with a role each, and authentication."""
    yield "AuthEnable", rpc_pb2.AuthEnableRequest()
    for user, role in (("root", "root"), ("ann", "r1"), ("ben", "r2")):
        yield "UserAdd", rpc_pb2.AuthUserAddRequest(name=user, password="pw")
        yield "RoleAdd", rpc_pb2.AuthRoleAddRequest(name=role)
        yield "UserGrantRole", rpc_pb2.AuthUserGrantRoleRequest(user=user, role=role)
    yield "AuthEnable", rpc_pb2.AuthEnableRequest()


def steps(seed: int) -> Iterator[Step]:
    """A quarter of them changes by root or, now and then, by somebody else; the others are requests by anybody."""
    draw = random.Random(seed)
    for method, request in beginning():
        yield "Auth", method, request, ""
    for _ in range(STEPS):
        if draw.random() < 0.25:
            method, request = admin(draw)
            yield "Auth", method, request, draw.choice(("root", "root", "root", "ann", ""))
        else:
            method, request = data(draw)
            yield "KV", method, request, draw.choice(("root", "ann", "ann", "ben", "ben", ""))


class Side:
    """One of the two. Tokens are fetched when they are needed, and anew when they have ended."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._tokens: dict[str, logins.Metadata] = {}

    async def ask(self, step: Step) -> object:
        service, method, request, user = step
        known = user in self._tokens
        if user and not known:
            self._tokens[user] = await self._login(user)
        call = getattr(getattr(rpc_pb2_grpc, f"{service}Stub")(self._channel), method)
        try:
            answer = await call(request, metadata=self._tokens.get(user, ()), timeout=10)
        except grpc.aio.AioRpcError as error:
            if known and (not self._tokens[user] or error.code() is grpc.StatusCode.UNAUTHENTICATED):
                del self._tokens[user]
                return await self.ask(step)
            return error.code(), error.details()
        answer.ClearField("header")
        return _without_headers(answer)

    async def _login(self, user: str) -> logins.Metadata:
        """Whoever cannot log in comes without a token."""
        try:
            return await logins.login(self._channel, user, "pw")
        except grpc.aio.AioRpcError:
            return ()


def _without_headers(answer: Message) -> str:
    """As text; headers inside a transaction's answer name members."""
    for response in getattr(answer, "responses", ()):
        getattr(response, response.WhichOneof("response")).ClearField("header")
    return str(answer)


@pytest.mark.parametrize("seed", range(2))
async def test_users_and_requests_are_answered_as_by_etcd(tmp_path: Path, seed: int) -> None:
    cost = ("--bcrypt-cost", "4")
    with etcds.lone(tmp_path / "etcd", *cost) as etcd, members.lone(tmp_path / "store", *cost) as store:
        await store.ready()
        async with etcd.channel() as theirs, store.channel() as ours:
            sides = Side(theirs), Side(ours)
            for number, step in enumerate(steps(seed)):
                expected, answered = [await side.ask(step) for side in sides]
                assert answered == expected, (seed, number, step)
