"""Authentication on three members: one decision for all, tokens good everywhere, kept by restarts and snapshots."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc.aio
import logins
import members
import pytest
from logins import Permission
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc

Put, Range = rpc_pb2.PutRequest, rpc_pb2.RangeRequest
MINE = Permission(permType=Permission.READWRITE, key=b"mine")
FAST = ("--bcrypt-cost", "4")


async def ask(store: members.Store, key: bytes, who: logins.Metadata) -> str:
    """Put and read a key at a member: what was refused, or ""."""
    async with store.channel() as channel:
        kv = rpc_pb2_grpc.KVStub(channel)
        try:
            await kv.Put(Put(key=key), metadata=who, timeout=15, wait_for_ready=True)
            await kv.Range(Range(key=key), metadata=who, timeout=15)
        except grpc.aio.AioRpcError as error:
            return error.details() or ""
    return ""


async def revision(store: members.Store) -> int:
    async with store.channel() as channel:
        request = rpc_pb2.AuthStatusRequest()
        status = await rpc_pb2_grpc.AuthStub(channel).AuthStatus(request, timeout=15, wait_for_ready=True)
        return status.authRevision if status.enabled else 0


async def test_a_token_of_one_member_is_good_at_every_other_at_once(tmp_path: Path) -> None:
    with members.three(tmp_path, *FAST) as stores:
        for store in stores:
            await store.ready()
        async with stores[0].channel() as channel:
            await logins.prepare(channel, MINE)
        for store in stores:
            async with store.channel() as channel:
                user = await logins.login(channel, "user", logins.USER_PASSWORD)
            for other in stores:
                assert await ask(other, b"mine", user) == ""
                assert await ask(other, b"theirs", user) == "etcdserver: permission denied"


async def test_members_that_were_away_agree_again(tmp_path: Path) -> None:
    """One by the log, one by a snapshot; then all of them start anew."""
    with members.three(tmp_path, *FAST, "--snapshot-count", "100") as stores:
        for store in stores:
            await store.ready()
        leader = await members.leader_of(stores)
        away = next(store for store in stores if store is not leader)
        async with leader.channel() as channel:
            await logins.prepare(channel, MINE)
            root = await logins.login(channel, "root", logins.ROOT_PASSWORD)
            away.kill()
            user = await logins.login(channel, "user", logins.USER_PASSWORD)
            kv = rpc_pb2_grpc.KVStub(channel)
            for _ in range(30):
                puts = (Put(key=b"k%d" % number, value=bytes(300_000)) for number in range(4))
                await asyncio.gather(*(kv.Put(put, metadata=root) for put in puts))
        away.start()
        assert await ask(away, b"mine", user) == ""
        assert "snapshot installed" in away.log
        assert await ask(away, b"theirs", user) == "etcdserver: permission denied"
        revisions = {await revision(store) for store in stores}
        assert len(revisions) == 1
        for store in stores:
            store.kill()
        for store in stores:
            store.start()
        for store in stores:
            assert await ask(store, b"mine", user) == ""
            assert {await revision(store)} == revisions


async def test_what_is_revoked_at_one_member_is_revoked_at_all(tmp_path: Path) -> None:
    with members.three(tmp_path, *FAST) as stores:
        for store in stores:
            await store.ready()
        async with stores[0].channel() as channel:
            await logins.prepare(channel, MINE)
            root = await logins.login(channel, "root", logins.ROOT_PASSWORD)
            user = await logins.login(channel, "user", logins.USER_PASSWORD)
            assert await ask(stores[1], b"mine", user) == ""
            request = rpc_pb2.AuthUserRevokeRoleRequest(name="user", role="role")
            await rpc_pb2_grpc.AuthStub(channel).UserRevokeRole(request, metadata=root)
            for store in stores:
                assert await ask(store, b"mine", user) == "etcdserver: permission denied"
            await rpc_pb2_grpc.AuthStub(channel).UserDelete(rpc_pb2.AuthUserDeleteRequest(name="user"), metadata=root)
        for store in stores:
            with pytest.raises(grpc.aio.AioRpcError, match="invalid auth token"):
                async with store.channel() as channel:
                    await rpc_pb2_grpc.KVStub(channel).Range(Range(key=b"mine"), metadata=user)


async def test_a_member_that_starts_alone_still_tells_users_apart(tmp_path: Path) -> None:
    """It knows no more than its snapshot until it hears of a leader, and stale reads are served before that."""
    with members.three(tmp_path, *FAST) as stores:
        for store in stores:
            await store.ready()
        async with stores[0].channel() as channel:
            await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"theirs"))
            await logins.prepare(channel, MINE)
        async with asyncio.timeout(10):
            while not all("snapshot written" in store.log for store in stores):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        for store in stores:
            store.kill()
        alone = stores[0]
        alone.start()
        async with alone.channel() as channel:
            request = Range(key=b"theirs", serializable=True)
            with pytest.raises(grpc.aio.AioRpcError, match="user name is empty"):
                await rpc_pb2_grpc.KVStub(channel).Range(request, wait_for_ready=True, timeout=10)
