"""Mixed load with compaction: memory and disk must reach a plateau."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import time
from pathlib import Path

import grpc.aio
from measure import report, rss_mib
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from store_clusters import Ours

WRITERS = 16
KEYS = 20_000
VALUE = os.urandom(1024)
SAMPLE_S = 1.0
COMPACT_S = 5.0


async def soak(folder: Path, *, seconds: float) -> None:
    """Puts, deletes, reads, leases and watches for so long; growth from the second third to the last."""
    ours = Ours(folder / "ours", "--snapshot-count", "5000")
    samples: list[tuple[float, float]] = []
    try:
        await ours.start()
        leader = await ours.leader()
        until = time.monotonic() + seconds
        done = itertools.count()
        async with grpc.aio.insecure_channel(leader) as channel, asyncio.TaskGroup() as tasks:
            for number in range(WRITERS):
                tasks.create_task(_write(channel, random.Random(number), until, done))
            tasks.create_task(_compact(channel, until))
            tasks.create_task(_watch(channel, until))
            while time.monotonic() < until:
                await asyncio.sleep(SAMPLE_S)
                samples.append((sum(map(rss_mib, ours.pids())), _disk_mib(folder)))
    finally:
        ours.end()
    report(f"store_soak[{seconds:.0f}]_operations", next(done) / seconds, "1/s", better="higher")
    third = len(samples) // 3
    for title, place in (("memory", 0), ("disk", 1)):
        second = max(sample[place] for sample in samples[third : 2 * third])
        last = max(sample[place] for sample in samples[2 * third :])
        report(f"store_soak[{seconds:.0f}]_{title}", last, "MiB", reference=second, reference_name="the third before")


async def _write(channel: grpc.aio.Channel, draw: random.Random, until: float, done: itertools.count[int]) -> None:
    kv, leases = rpc_pb2_grpc.KVStub(channel), rpc_pb2_grpc.LeaseStub(channel)
    while time.monotonic() < until:
        key = b"/registry/soak/%d" % draw.randrange(KEYS)
        what = draw.random()
        if what < 0.6:
            await kv.Put(rpc_pb2.PutRequest(key=key, value=VALUE))
        elif what < 0.8:
            await kv.Range(rpc_pb2.RangeRequest(key=key))
        elif what < 0.95:
            await kv.DeleteRange(rpc_pb2.DeleteRangeRequest(key=key))
        else:
            lease = await leases.LeaseGrant(rpc_pb2.LeaseGrantRequest(TTL=2))
            try:
                await kv.Put(rpc_pb2.PutRequest(key=b"%b/leased" % key, value=VALUE, lease=lease.ID))
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:  # on a busy machine it may be over already
                    raise
        next(done)


async def _compact(channel: grpc.aio.Channel, until: float) -> None:
    kv = rpc_pb2_grpc.KVStub(channel)
    while time.monotonic() < until:
        revision = (await kv.Range(rpc_pb2.RangeRequest(key=b"x"))).header.revision
        await asyncio.sleep(COMPACT_S)
        with contextlib.suppress(grpc.aio.AioRpcError):
            await kv.Compact(rpc_pb2.CompactionRequest(revision=revision))


async def _watch(channel: grpc.aio.Channel, until: float) -> None:
    stream = rpc_pb2_grpc.WatchStub(channel).Watch()
    request = rpc_pb2.WatchCreateRequest(key=b"/registry/", range_end=b"/registry0")
    await stream.write(rpc_pb2.WatchRequest(create_request=request))
    while time.monotonic() < until:
        await stream.read()
    stream.cancel()


def _disk_mib(folder: Path) -> float:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_blocks * 512 if path.is_file() else 0
    return total / (1 << 20)
