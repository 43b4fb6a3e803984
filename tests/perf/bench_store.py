"""The store beside Debian's etcd: rates, a watch's delay, large states, a soak. `scripts/bench store [PART ...]`.

Three members each, fsync on, the same client program, alternating in rounds; medians are printed. Puts and gets go
through what the API server uses: our batching stream, etcd's unary calls. Everything runs in a network namespace of its
own. Parts: rates watch large soak; without any, all of them, the soak for --soak seconds (a full one: 1800).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import uvloop
from measure import report
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from raftsman.services.apiserver.storage.store import Store
from store_clusters import WARM_S, Etcd, Ours, Rate, get, load, put, unary_put
from store_large import large
from store_soak import soak

IN_FLIGHT = (1, 64, 1000)
WATCHERS = 100
EVENTS = 100
INSIDE = "RAFTSMAN_BENCH_NAMESPACE"

Cluster = Ours | Etcd


async def rates(folder: Path, *, rounds: int, seconds: float) -> None:
    """Puts at several numbers in flight, gets, and puts by unary calls."""
    clusters: tuple[Cluster, ...] = (Ours(folder / "ours"), Etcd(folder / "etcd"))
    found: dict[tuple[str, str], list[Rate]] = defaultdict(list)
    try:
        for cluster in clusters:
            await cluster.start()
        for _ in range(rounds):
            for cluster in clusters:
                await _round(cluster, found, seconds)
    finally:
        for cluster in clusters:
            cluster.end()
    for title in dict.fromkeys(title for title, _ in found):
        ours, etcd = (_median(found[title, cluster.name]) for cluster in clusters)
        name = Etcd.name
        report(f"store_{title}", ours.per_s, "1/s", better="higher", reference=etcd.per_s, reference_name=name)
        report(f"store_{title}_p99", ours.p99_ms, "ms", reference=etcd.p99_ms, reference_name=name)


async def _round(cluster: Cluster, found: dict[tuple[str, str], list[Rate]], seconds: float) -> None:
    address = await cluster.leader()
    client = Store.connect([f"http://{address}"])
    try:
        for in_flight in IN_FLIGHT:
            await load(client, in_flight, WARM_S, put)
            found[f"put[{in_flight}]", cluster.name].append(await load(client, in_flight, seconds, put))
        found["get[64]", cluster.name].append(await load(client, 64, seconds, get))
    finally:
        await client.close()
    async with grpc.aio.insecure_channel(address) as channel:
        stub = rpc_pb2_grpc.KVStub(channel)
        await load(stub, 64, WARM_S, unary_put)
        found["put_unary[64]", cluster.name].append(await load(stub, 64, seconds, unary_put))


def _median(rounds: list[Rate]) -> Rate:
    return Rate(*(statistics.median(getattr(one, field) for one in rounds) for field in ("per_s", "p50_ms", "p99_ms")))


async def watch(folder: Path) -> None:
    """From a put to the last of 100 watchers that see it, and to the middle one."""
    found: dict[str, tuple[float, float]] = {}
    for cluster in (Ours(folder / "ours"), Etcd(folder / "etcd")):
        try:
            await cluster.start()
            found[cluster.name] = await _watched(await cluster.leader())
        finally:
            cluster.end()
    for title, place in (("median", 0), ("last", 1)):
        ours, etcd = found[Ours.name][place], found[Etcd.name][place]
        report(f"store_watch[{WATCHERS}]_{title}", ours, "ms", reference=etcd, reference_name=Etcd.name)


async def _watched(address: str) -> tuple[float, float]:
    """Milliseconds to the middle watcher, and to the last; medians over the events."""
    seen = _Seen()
    async with grpc.aio.insecure_channel(address) as channel:
        kv = rpc_pb2_grpc.KVStub(channel)
        streams = [await _stream(channel) for _ in range(WATCHERS)]
        readers = [asyncio.create_task(_read(stream, seen)) for stream in streams]
        middle, last = [], []
        for number in range(EVENTS):
            began = time.monotonic()
            await kv.Put(rpc_pb2.PutRequest(key=b"/registry/w/%d" % number, value=bytes(1024)))
            await seen.by_all.wait()
            delays = sorted(at - began for at in seen.moments)
            seen.moments.clear()
            seen.by_all.clear()
            middle.append(delays[WATCHERS // 2])
            last.append(delays[-1])
        for reader in readers:
            reader.cancel()
    return statistics.median(middle) * 1e3, statistics.median(last) * 1e3


@dataclass(slots=True)
class _Seen:
    """When the watchers saw the one event that is under way."""

    moments: list[float] = field(default_factory=list)
    by_all: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, moment: float) -> None:
        self.moments.append(moment)
        if len(self.moments) == WATCHERS:
            self.by_all.set()


async def _stream(channel: grpc.aio.Channel) -> Any:
    stream = rpc_pb2_grpc.WatchStub(channel).Watch()
    request = rpc_pb2.WatchCreateRequest(key=b"/registry/w/", range_end=b"/registry/w0")
    await stream.write(rpc_pb2.WatchRequest(create_request=request))
    assert (await stream.read()).created
    return stream


async def _read(stream: Any, seen: _Seen) -> None:
    while True:
        response = await stream.read()
        for _ in response.events:
            seen.note(time.monotonic())


async def measured(given: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-store-", dir=given.folder) as scratch:
        folder = Path(scratch)
        for part in given.parts or ("rates", "watch", "large", "soak"):
            own = folder / part
            own.mkdir()
            if part == "rates":
                await rates(own, rounds=given.rounds, seconds=given.seconds)
            elif part == "watch":
                await watch(own)
            elif part == "large":
                await large(own, keys=given.keys)
            else:
                await soak(own, seconds=given.soak)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench store", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=("rates", "watch", "large", "soak", []))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load")
    parser.add_argument("--keys", type=int, default=100_000, help="of 2 KiB, for `large`")
    parser.add_argument("--soak", type=float, default=60.0, help="seconds")
    parser.add_argument("--folder", help="where the data goes; default: the temporary folder")
    given = parser.parse_args()
    if os.environ.get(INSIDE):
        uvloop.run(measured(given))
        return 0
    name = f"rm-bench-{secrets.token_hex(3)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        command = ["nsenter", f"--net=/run/netns/{name}", sys.executable, *sys.argv]
        return subprocess.run(command, env={**os.environ, INSIDE: name}, check=False).returncode
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


if __name__ == "__main__":
    sys.exit(main())
