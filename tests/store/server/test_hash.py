"""Digests by which members are compared."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc.aio
import members
import pytest
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc

Put, HashKV = rpc_pb2.PutRequest, rpc_pb2.HashKVRequest


async def digests(store: members.Store, revision: int) -> tuple[int, int, int]:
    """HashKV at a revision with what was compacted then, and Hash."""
    async with store.channel() as channel:
        stub = rpc_pb2_grpc.MaintenanceStub(channel)
        of_keys = await stub.HashKV(HashKV(revision=revision))
        assert of_keys.hash_revision == revision
        return of_keys.hash, of_keys.compact_revision, (await stub.Hash(rpc_pb2.HashRequest())).hash


async def put(kv: rpc_pb2_grpc.KVStub, key: bytes) -> None:
    """Put a key, though another leader may be about to be elected."""
    async with asyncio.timeout(members.READY_S):
        while True:
            try:
                await kv.Put(Put(key=key))
                return
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(0.1)


async def test_members_have_the_same_whenever_they_restarted_or_compacted(tmp_path: Path) -> None:
    with members.three(tmp_path, "--snapshot-count", "20", "--auto-compaction-retention", "0") as stores:
        for store in stores:
            await store.ready()
        leader = await members.leader_of(stores)
        stores = [leader, *(store for store in stores if store is not leader)]
        stores[2].kill()
        async with stores[0].channel() as channel:
            kv = rpc_pb2_grpc.KVStub(channel)
            for number in range(60):
                last = (await kv.Put(Put(key=b"%d" % (number % 7), value=b"%d" % number))).header.revision
            await kv.DeleteRange(rpc_pb2.DeleteRangeRequest(key=b"3"))
            await kv.Compact(rpc_pb2.CompactionRequest(revision=last - 9))
            stores[1].kill()
            stores[1].start()
            stores[2].start()
            for store in stores:
                await store.ready()
            found = {await digests(store, last) for store in stores}
            assert len(found) == 1
            assert next(iter(found))[1] == last - 9
            await put(kv, b"3")
            assert (await digests(stores[0], last))[0] == next(iter(found))[0]
            assert (await digests(stores[0], last + 1))[0] != next(iter(found))[0]


async def test_only_what_can_be_read_has_one(channel: grpc.aio.Channel) -> None:
    kv, stub = rpc_pb2_grpc.KVStub(channel), rpc_pb2_grpc.MaintenanceStub(channel)
    for _ in range(3):
        last = (await kv.Put(Put(key=b"hash"))).header.revision
    await kv.Compact(rpc_pb2.CompactionRequest(revision=last - 1))
    assert (await stub.HashKV(HashKV())).hash_revision == last
    for revision, text in ((last - 2, "has been compacted"), (last + 1, "is a future revision")):
        with pytest.raises(grpc.aio.AioRpcError, match=text):
            await stub.HashKV(HashKV(revision=revision))
