"""Locks and elections over three members: a queue is the same wherever one asks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc.aio
import members
from raftsman.etcd import election_pb2, election_pb2_grpc, lock_pb2, lock_pb2_grpc, rpc_pb2, rpc_pb2_grpc

Range = rpc_pb2.RangeRequest


async def queued(channel: grpc.aio.Channel, name: bytes, count: int) -> None:
    kv = rpc_pb2_grpc.KVStub(channel)
    async with asyncio.timeout(10):
        while (await kv.Range(Range(key=name + b"/", range_end=name + b"0"))).count != count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_lock_goes_from_member_to_member_and_outlives_the_leader(tmp_path: Path) -> None:
    with members.three(tmp_path) as stores:
        for store in stores:
            await store.ready()
        leader = await members.leader_of(stores)
        first, second = (store for store in stores if store is not leader)
        request = lock_pb2.LockRequest(name=b"l")
        async with first.channel() as here, second.channel() as there, leader.channel() as third:
            held = await lock_pb2_grpc.LockStub(here).Lock(request, timeout=10)
            waiting = lock_pb2_grpc.LockStub(there).Lock(request, timeout=60)
            await queued(third, b"l", 2)
            observed = election_pb2_grpc.ElectionStub(there).Observe(election_pb2.LeaderRequest(name=b"l"))
            assert (await observed.read()).kv.key == held.key
            leader.kill()
            await members.leader_of([first, second])
            assert not waiting.done()
            await lock_pb2_grpc.LockStub(here).Unlock(lock_pb2.UnlockRequest(key=held.key), timeout=10)
            after = await waiting
            assert after.key != held.key
            assert (await observed.read()).kv.key == after.key
            observed.cancel()
