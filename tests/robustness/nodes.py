"""Members as processes, each in its namespace; clients reach them over unix sockets, which no partition cuts."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import grpc.aio
from certificates import Authority
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc

from .network import ENDS_WITH_US, Network

PEER_PORT = 2380
STOP_S = 15.0
DISK_BYTES = 96 << 20
_FILLER = "filler"
_RECONNECT = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 250),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", -1),
)
STORE = (sys.executable, "-m", "raftsman.store")


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def channel_to(socket: Path) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"unix:{socket}", options=_RECONNECT)


@dataclass(eq=False)
class Node:
    """One member. `down` says that it is meant not to run."""

    name: str
    place: int
    folder: Path
    address: str
    into: list[str]
    command: list[str]
    flags: list[str]
    state: str = "new"
    joins: str = ""
    process: subprocess.Popen[bytes] | None = None
    down: bool = True
    paused: bool = False
    channel: grpc.aio.Channel | None = None

    @property
    def peer_url(self) -> str:
        return f"https://{self.address}:{PEER_PORT}"

    @property
    def disk(self) -> Path:
        """A file system of its own, small enough to be filled."""
        return self.folder / "disk"

    @property
    def socket(self) -> Path:
        return self.folder / "client"

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, *, command: Sequence[str] = ()) -> None:
        """With another program than the usual one, for once."""
        self.folder.mkdir(exist_ok=True)
        arguments = [f"--name={self.name}", f"--data-dir={self.disk / 'data'}", "--listen-metrics-urls="]
        arguments += [f"--listen-client-urls=unix://{self.socket}", f"--listen-peer-urls={self.peer_url}"]
        arguments += [f"--initial-cluster={self.joins}", f"--initial-cluster-state={self.state}", *self.flags]
        with (self.folder / "log").open("ab") as log:
            words = [*self.into, *(command or self.command), *arguments]
            self.process = subprocess.Popen(words, stdout=log, stderr=log)
        self.down = self.paused = False

    def kill(self) -> None:
        """kill -9."""
        self.down = True
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    async def stop(self) -> None:
        """SIGTERM."""
        assert self.process is not None
        self.down = True
        self.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name} does not stop\n{self.log[-2000:]}")
            await asyncio.sleep(0.05)

    def pause(self) -> None:
        assert self.process is not None
        self.paused = True
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.paused = False
        self.process.send_signal(signal.SIGCONT)

    def lose_the_disk(self) -> None:
        shutil.rmtree(self.disk / "data", ignore_errors=True)

    def fill_the_disk(self) -> None:
        with (self.disk / _FILLER).open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 18))

    def empty_the_disk(self) -> None:
        (self.disk / _FILLER).unlink(missing_ok=True)

    @property
    def ended(self) -> bool:
        """Whether it ended without having been asked to."""
        return not self.down and self.process is not None and self.process.poll() is not None

    def open(self) -> grpc.aio.Channel:
        if self.channel is None:
            self.channel = channel_to(self.socket)
        return self.channel

    async def status(self) -> rpc_pb2.StatusResponse:
        return await rpc_pb2_grpc.MaintenanceStub(self.open()).Status(rpc_pb2.StatusRequest(), timeout=1)


@dataclass
class Cluster:
    """Nodes on a network. Use as a context manager, and `close` the channels before."""

    folder: Path
    network: Network
    nodes: list[Node] = field(default_factory=list)

    @classmethod
    def made(cls, folder: Path, network: Network, *, command: Sequence[str] = STORE, flags: Sequence[str]) -> Cluster:
        authority = Authority(folder / "ca")
        cluster = cls(folder, network)
        for place in range(len(network.namespaces)):
            name, address = f"m{place + 1}", network.address(place)
            cert, key = authority.issue(name, ip=address)
            tls = [f"--peer-cert-file={cert}", f"--peer-key-file={key}", f"--peer-trusted-ca-file={authority.path}"]
            into = [*ENDS_WITH_US, *network.inside(place)]
            cluster.nodes.append(Node(name, place, folder / name, address, into, [*command], [*tls, *flags]))
        for node in cluster.nodes:
            node.joins = cluster.all_urls
        return cluster

    @property
    def all_urls(self) -> str:
        return ",".join(f"{node.name}={node.peer_url}" for node in self.nodes)

    def __enter__(self) -> Cluster:
        try:
            for node in self.nodes:
                node.disk.mkdir(parents=True)
                _run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", node.folder.parent.name, str(node.disk))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        for node in self.nodes:
            node.kill()
            if node.disk.is_mount():
                _run("umount", "-l", str(node.disk))

    async def close(self) -> None:
        for node in self.nodes:
            if node.channel is not None:
                await node.channel.close()
                node.channel = None

    async def leader(self) -> Node | None:
        """Who says that it leads, in the highest term."""
        found: list[tuple[int, int]] = []
        for node in self.nodes:
            if node.down or node.paused:
                continue
            try:
                status = await node.status()
            except grpc.aio.AioRpcError:
                continue
            if status.leader and status.leader == status.header.member_id:
                found.append((status.raftTerm, node.place))
        return self.nodes[max(found)[1]] if found else None
