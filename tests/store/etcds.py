"""Debian's etcd and etcdctl for tests: real processes, on loopback ports of their own, killed when the test ends."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import grpc.aio
from members import free_ports
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc

READY_S = 20.0
ENVIRONMENT = {**os.environ, "ETCDCTL_API": "3"}


@dataclass
class Etcd:
    """One member of a cluster of its own."""

    folder: Path
    client: int
    peer: int
    flags: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.client}"

    @property
    def peer_url(self) -> str:
        return f"http://127.0.0.1:{self.peer}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        arguments = ["--data-dir", str(self.data), "--listen-client-urls", f"http://{self.address}"]
        arguments += ["--advertise-client-urls", f"http://{self.address}", "--listen-peer-urls", self.peer_url]
        arguments += ["--initial-advertise-peer-urls", self.peer_url, f"--initial-cluster=default={self.peer_url}"]
        arguments += self.flags
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(["etcd", *arguments], stdout=log, stderr=log)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_S
        with grpc.insecure_channel(self.address) as channel:
            while True:
                try:
                    rpc_pb2_grpc.KVStub(channel).Range(rpc_pb2.RangeRequest(key=b"ready"), timeout=2)
                    return
                except grpc.RpcError as error:
                    assert self.process is not None
                    refused = error.code() is not grpc.StatusCode.UNAVAILABLE  # authentication is on
                    if refused:
                        return
                    log = (self.folder / "log").read_text()
                    assert self.process.poll() is None, log
                    assert time.monotonic() < deadline, log
                    time.sleep(0.05)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self.address, options=[("grpc.max_receive_message_length", -1)])


@contextmanager
def lone(folder: Path, *flags: str, start: bool = True) -> Iterator[Etcd]:
    """One etcd. `start` off: its ports are known, and the test prepares its data first."""
    client, peer = free_ports(2)
    etcd = Etcd(folder, client, peer, list(flags))
    try:
        if start:
            etcd.start()
        yield etcd
    finally:
        etcd.end()


def ctl(address: str, *arguments: str, feed: str = "", fails: bool = False) -> str:
    """Run etcdctl; its output, or its complaint where it is expected to fail."""
    done = subprocess.run(
        ["etcdctl", "--endpoints", address, *arguments],
        env=ENVIRONMENT,
        input=feed,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert bool(done.returncode) is fails, done.stderr
    return done.stderr if fails else done.stdout


def until_answered(address: str, *arguments: str) -> None:
    """Run etcdctl until it succeeds."""
    deadline = time.monotonic() + READY_S
    command = ["etcdctl", "--endpoints", address, *arguments]
    while (done := subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=60)).returncode:
        assert time.monotonic() < deadline, done.stderr


async def everything(channel: grpc.aio.Channel, revision: int = 0) -> rpc_pb2.RangeResponse:
    """All keys at a revision, without the header's ids."""
    request = rpc_pb2.RangeRequest(key=b"\0", range_end=b"\0", revision=revision)
    answer = await rpc_pb2_grpc.KVStub(channel).Range(request)
    answer.ClearField("header")
    return answer


async def ready(channel: grpc.aio.Channel) -> None:
    """Wait until a member answers a linearizable read."""
    async with asyncio.timeout(READY_S):
        await rpc_pb2_grpc.KVStub(channel).Range(rpc_pb2.RangeRequest(key=b"ready"), wait_for_ready=True)
