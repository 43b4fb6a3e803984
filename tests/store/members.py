"""Store processes for tests: real ones, on loopback ports of their own, killed when the test ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import grpc.aio
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from raftsman.store import commands
from raftsman.store.mvcc import members as membership
from raftsman.store.raft.journal import Beginning

READY_S = 20.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody has, held until all are chosen."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@dataclass
class Store:
    """One member's process; it can be killed and started again on the same data."""

    folder: Path
    client: int
    metrics: int
    flags: list[str] = field(default_factory=list)
    peer: int = field(default_factory=lambda: free_ports(1)[0])
    """Where peers are listened for, if the flags do not say."""
    process: subprocess.Popen[bytes] | None = None
    command: list[str] = field(default_factory=lambda: [sys.executable, "-m", "raftsman.store"])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.client}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        arguments = ["--data-dir", str(self.folder / "data"), "--listen-client-urls", f"http://{self.address}"]
        arguments += ["--listen-metrics-urls", f"http://127.0.0.1:{self.metrics}", *self.flags]
        if not any("--listen-peer-urls" in flag for flag in self.flags):
            arguments += ["--listen-peer-urls", f"http://127.0.0.1:{self.peer}"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*self.command, *arguments], stdout=log, stderr=log)

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def pause(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self.address, options=[("grpc.max_receive_message_length", -1)])

    async def ready(self) -> None:
        """Wait until it answers a linearizable read."""
        deadline = time.monotonic() + READY_S
        while True:
            try:
                await self.listening(deadline)
                async with self.channel() as channel:
                    request = rpc_pb2.RangeRequest(key=b"ready")
                    await rpc_pb2_grpc.KVStub(channel).Range(request, timeout=2, wait_for_ready=True)
                return
            except grpc.aio.AioRpcError as error:
                assert self.process is not None
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise AssertionError(f"the store is not ready: {error.details()}\n{self.log}") from error
                await asyncio.sleep(0.05)

    async def listening(self, deadline: float | None = None) -> None:
        """Wait until it takes connections: a channel that is refused waits a second before it tries again."""
        assert self.process is not None
        deadline = deadline or time.monotonic() + READY_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.client)) == 0:
                    return
            await asyncio.sleep(0.02)

    async def status(self) -> rpc_pb2.StatusResponse:
        async with self.channel() as channel:
            return await rpc_pb2_grpc.MaintenanceStub(channel).Status(rpc_pb2.StatusRequest(), timeout=2)


@contextmanager
def lone(folder: Path, *flags: str, start: bool = True) -> Iterator[Store]:
    """One member. `start` off: the test prepares its data first."""
    client, metrics, peer = free_ports(3)
    store = Store(folder, client, metrics, ["--listen-peer-urls", f"http://127.0.0.1:{peer}", *flags])
    try:
        if start:
            store.start()
        yield store
    finally:
        _end([store])


@contextmanager
def three(folder: Path, *flags: str, scheme: str = "http", start: bool = True) -> Iterator[list[Store]]:
    """Three members of one cluster. `start` off: the test prepares their data first."""
    ports = free_ports(9)
    urls = {name: f"{scheme}://127.0.0.1:{port}" for name, port in zip("abc", ports[:3], strict=True)}
    cluster = ",".join(f"{name}={url}" for name, url in urls.items())
    stores = [
        Store(
            folder / name,
            ports[3 + place],
            ports[6 + place],
            [f"--name={name}", f"--initial-cluster={cluster}", f"--listen-peer-urls={url}", *flags],
        )
        for place, (name, url) in enumerate(urls.items())
    ]
    try:
        for store in stores if start else ():
            store.start()
        yield stores
    finally:
        _end(stores)


def _end(stores: list[Store]) -> None:
    for store in stores:
        if store.process is not None and store.process.poll() is None:
            store.resume()
            store.kill()


async def leader_of(stores: list[Store]) -> Store:
    """The member that leads."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        for store in stores:
            try:
                status = await store.status()
            except grpc.aio.AioRpcError:
                continue
            if status.leader and status.leader == status.header.member_id:
                return store
        await asyncio.sleep(0.05)
    raise AssertionError("nobody leads")


def alone(member: int) -> Beginning:
    """What the log of a cluster with one member begins with."""
    change = membership.Change(
        membership.Action.FOUND, (membership.Member(member, "alone", ("http://127.0.0.1:1",)),), 1
    )
    operation = commands.Operation(0, commands.Kind.CLUSTER_MEMBER, membership.encode(change))
    return Beginning(entry=commands.encode_change(operation))
