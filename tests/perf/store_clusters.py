"""Clusters of three for the store's benchmarks: ours and Debian's etcd, on one machine's disk, fsync on.

`Ours` and `Etcd` have the same face. Loads run until their time is over; what they answer are rates per second and
latencies in milliseconds.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from raftsman.services.apiserver.storage.store import Store

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))

import members

VALUE = os.urandom(1024)
WARM_S = 0.5
READY_S = 20.0

Operation = Callable[[Any, bytes], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Rate:
    """What a load reached."""

    per_s: float
    p50_ms: float
    p99_ms: float


class Ours:
    """Three of our members."""

    name = "raftsman"

    def __init__(self, folder: Path, *flags: str) -> None:
        self._stack = ExitStack()
        folder.mkdir()
        self._folder, self._flags = folder, flags
        self.stores: list[members.Store] = []

    async def start(self) -> None:
        self.stores = self._stack.enter_context(members.three(self._folder, *self._flags))
        for store in self.stores:
            await store.ready()

    async def leader(self) -> str:
        return (await members.leader_of(self.stores)).address

    @property
    def addresses(self) -> list[str]:
        return [store.address for store in self.stores]

    def pids(self) -> list[int]:
        return [store.process.pid for store in self.stores if store.process is not None]

    def end(self) -> None:
        self._stack.close()


class Etcd:
    """Three of Debian's."""

    name = "etcd 3.4"

    def __init__(self, folder: Path, *flags: str) -> None:
        folder.mkdir()
        self._folder, self._flags = folder, flags
        self._processes: list[subprocess.Popen[bytes]] = []
        self.addresses: list[str] = []

    async def start(self) -> None:
        self._spawn()
        await self.leader()

    def _spawn(self) -> None:
        ports = members.free_ports(6)
        peers = {name: f"http://127.0.0.1:{port}" for name, port in zip("abc", ports, strict=False)}
        cluster = ",".join(f"{name}={url}" for name, url in peers.items())
        for name, port in zip("abc", ports[3:], strict=True):
            client = f"http://127.0.0.1:{port}"
            self.addresses.append(f"127.0.0.1:{port}")
            command = [
                "etcd", "--name", name, "--data-dir", str(self._folder / name), "--listen-client-urls", client,
                "--advertise-client-urls", client, "--listen-peer-urls", peers[name],
                "--initial-advertise-peer-urls", peers[name], "--initial-cluster", cluster, *self._flags,
            ]  # fmt: skip
            with Path(f"{self._folder}-{name}.log").open("wb") as log:
                self._processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    async def leader(self) -> str:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            for address in self.addresses:
                status = await _status(address)
                if status is not None and status.leader == status.header.member_id:
                    return address
            await asyncio.sleep(0.1)
        raise AssertionError("no etcd leads")

    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


async def _status(address: str) -> rpc_pb2.StatusResponse | None:
    async with grpc.aio.insecure_channel(address) as channel:
        try:
            return await rpc_pb2_grpc.MaintenanceStub(channel).Status(rpc_pb2.StatusRequest(), timeout=2)
        except grpc.aio.AioRpcError:
            return None


async def load(client: Any, in_flight: int, seconds: float, operation: Operation) -> Rate:
    """So many callers, each asking again as soon as it is answered, on keys of its own."""
    latencies: list[float] = []
    until = time.monotonic() + seconds

    async def caller(number: int) -> None:
        at = 0
        while (began := time.monotonic()) < until:
            await operation(client, b"/registry/bench/%d/%d" % (number, at % 100))
            latencies.append(time.monotonic() - began)
            at += 1

    began = time.monotonic()
    await asyncio.gather(*(caller(number) for number in range(in_flight)))
    took = time.monotonic() - began
    latencies.sort()
    middle, late = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
    return Rate(len(latencies) / took, middle * 1e3, late * 1e3)


async def put(client: Store, key: bytes) -> None:
    await client.put(key, VALUE)


async def get(client: Store, key: bytes) -> None:
    await client.get(key)


async def unary_put(stub: rpc_pb2_grpc.KVStub, key: bytes) -> None:
    await stub.Put(rpc_pb2.PutRequest(key=key, value=VALUE))
