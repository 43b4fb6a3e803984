"""A large state: memory, restart, snapshot, and the longest that a put waits meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import grpc.aio
from measure import report, rss_mib
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from store_clusters import Etcd, Ours

VALUE = os.urandom(2048)
IN_FLIGHT = 64
PROBE_S = 0.005
SETTLE_S = 3.0
WRITERS = 16
ROUNDS_MAX = 10_000
WRITTEN = "snapshot written"


async def large(folder: Path, *, keys: int) -> None:
    """So many keys of 2 KiB in ours and in etcd."""
    etcd, ours = Etcd(folder / "etcd"), Ours(folder / "ours", "--snapshot-count", "20000")
    try:
        await etcd.start()
        await _fill(await etcd.leader(), keys)
        await asyncio.sleep(SETTLE_S)
        reference = statistics.median(map(rss_mib, etcd.pids()))
    finally:
        etcd.end()
    try:
        await ours.start()
        await _fill(await ours.leader(), keys)
        await asyncio.sleep(SETTLE_S)
        memory = statistics.median(map(rss_mib, ours.pids()))
        report(f"store_rss[{keys}]", memory, "MiB", reference=reference, reference_name=Etcd.name)
        await _stalls(ours, keys)
    finally:
        ours.end()


async def _stalls(ours: Ours, keys: int) -> None:
    leader = await ours.leader()
    async with _probing(leader) as waits:
        written = await _snapshot(ours, leader)
    report(f"store_snapshot[{keys}]", written, "s")
    report(f"store_longest_put_in_snapshot[{keys}]", max(waits) * 1e3, "ms")
    follower = next(store for store in ours.stores if store.address != leader)
    began = time.monotonic()
    follower.kill()
    follower.start()
    await follower.ready()
    report(f"store_restart[{keys}]", time.monotonic() - began, "s")
    async with _probing(leader) as waits:
        took = await _replace(ours, follower, leader)
    report(f"store_lost_member_back[{keys}]", took, "s")
    report(f"store_longest_put_in_catch_up[{keys}]", max(waits) * 1e3, "ms")


async def _snapshot(ours: Ours, leader: str) -> float:
    """Seconds that the leader's next snapshot took, with puts that make it due."""
    store = next(store for store in ours.stores if store.address == leader)
    before = store.log.count(WRITTEN)
    async with grpc.aio.insecure_channel(leader) as channel:
        kv = rpc_pb2_grpc.KVStub(channel)
        for _ in range(ROUNDS_MAX):
            requests = (rpc_pb2.PutRequest(key=b"/s/%d" % number, value=VALUE) for number in range(WRITERS))
            await asyncio.gather(*map(kv.Put, requests))
            if store.log.count(WRITTEN) > before:
                return float(re.findall(WRITTEN + r".* seconds=([0-9.]+)", store.log)[-1])
    raise AssertionError("no snapshot was written")


async def _replace(ours: Ours, lost: Any, leader: str) -> float:
    """Seconds until a member that lost its disk is removed, added, and has everything."""
    async with grpc.aio.insecure_channel(leader) as channel:
        cluster = rpc_pb2_grpc.ClusterStub(channel)
        listed = await cluster.MemberList(rpc_pb2.MemberListRequest())
        member = next(one for one in listed.members if f"http://{lost.address}" in one.clientURLs)
        lost.kill()
        shutil.rmtree(lost.folder / "data")
        began = time.monotonic()
        await cluster.MemberRemove(rpc_pb2.MemberRemoveRequest(ID=member.ID))
        await cluster.MemberAdd(rpc_pb2.MemberAddRequest(peerURLs=member.peerURLs))
    lost.flags.append("--initial-cluster-state=existing")
    lost.start()
    await lost.ready()
    return time.monotonic() - began


@contextlib.asynccontextmanager
async def _probing(address: str) -> Any:
    """How long small puts take meanwhile, one every few milliseconds."""
    waits: list[float] = [0.0]

    async def probe() -> None:
        async with grpc.aio.insecure_channel(address) as channel:
            kv = rpc_pb2_grpc.KVStub(channel)
            while True:
                began = time.monotonic()
                await kv.Put(rpc_pb2.PutRequest(key=b"/probe", value=b"x"))
                waits.append(time.monotonic() - began)
                await asyncio.sleep(PROBE_S)

    task = asyncio.create_task(probe())
    try:
        yield waits
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _fill(address: str, keys: int) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        kv = rpc_pb2_grpc.KVStub(channel)
        numbers = iter(range(keys))

        async def writer() -> None:
            for number in numbers:
                await kv.Put(rpc_pb2.PutRequest(key=b"/registry/large/%08d" % number, value=VALUE))

        await asyncio.gather(*(writer() for _ in range(IN_FLIGHT)))
