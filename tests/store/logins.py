"""Users for tests: what etcdctl's `user` and `role` commands do, over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import members
from raftsman.etcd import auth_pb2, rpc_pb2, rpc_pb2_grpc

Permission = auth_pb2.Permission
Metadata = tuple[tuple[str, str], ...]
ROOT_PASSWORD, USER_PASSWORD = "root-secret", "user-secret"


async def login(channel: grpc.aio.Channel, name: str, password: str) -> Metadata:
    """The metadata of a user's calls."""
    request = rpc_pb2.AuthenticateRequest(name=name, password=password)
    answer = await rpc_pb2_grpc.AuthStub(channel).Authenticate(request, timeout=10)
    return (("token", answer.token),)


async def prepare(channel: grpc.aio.Channel, *permissions: Permission) -> None:
    """root, and `user` whose role `role` has these permissions; authentication is on when this returns."""
    auth = rpc_pb2_grpc.AuthStub(channel)
    await auth.UserAdd(rpc_pb2.AuthUserAddRequest(name="root", password=ROOT_PASSWORD))
    await auth.UserGrantRole(rpc_pb2.AuthUserGrantRoleRequest(user="root", role="root"))
    await auth.UserAdd(rpc_pb2.AuthUserAddRequest(name="user", password=USER_PASSWORD))
    await auth.RoleAdd(rpc_pb2.AuthRoleAddRequest(name="role"))
    await auth.UserGrantRole(rpc_pb2.AuthUserGrantRoleRequest(user="user", role="role"))
    for permission in permissions:
        await auth.RoleGrantPermission(rpc_pb2.AuthRoleGrantPermissionRequest(name="role", perm=permission))
    await auth.AuthEnable(rpc_pb2.AuthEnableRequest())


@asynccontextmanager
async def connected(store: members.Store) -> AsyncIterator[grpc.aio.Channel]:
    await store.ready()
    async with store.channel() as channel:
        yield channel


@asynccontextmanager
async def connected_any(store: members.Store) -> AsyncIterator[grpc.aio.Channel]:
    """The same for a store that may not tell nobody whether it is ready."""
    await store.listening()
    async with store.channel() as channel:
        request = rpc_pb2.AuthStatusRequest()
        await rpc_pb2_grpc.AuthStub(channel).AuthStatus(request, wait_for_ready=True, timeout=members.READY_S)
        yield channel
