"""A cluster without a node agent: store, API server and control, as `raftsman up` starts them, on free ports.

Nodes are objects that the tests make, and pods become ready when a test says so.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from raftsman import Client
from raftsman.cluster.layout import Layout
from raftsman.cluster.processes import Process, processes
from raftsman.cluster.settings import Settings
from raftsman.cluster.up import prepare
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

START_S = 20.0


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(15)


class Cluster:
    """The processes by name, and clients of the administrator."""

    def __init__(self, folder: Path) -> None:
        names = [name for name in Settings.__slots__ if name.endswith("_port")]
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.settings = Settings("tester", "127.0.0.1", **ports)
        self.layout = Layout.of(folder)
        prepare(self.layout, self.settings)
        self.layout.logs.mkdir(parents=True, exist_ok=True)
        self.running: dict[str, Running] = {}
        self._scratch = tempfile.TemporaryDirectory(prefix="rm-control-")

    def process(self, name: str) -> Process:
        return next(p for p in processes(self.layout, self.settings) if p.name == name)

    def start(self, name: str) -> Running:
        log = self.layout.logs / f"{name}.log"
        with log.open("ab") as out:
            command = self.process(name).command
            process = subprocess.Popen(
                command, stdout=out, stderr=out, start_new_session=True,
                env={**os.environ, "TMPDIR": self._scratch.name},
            )  # fmt: skip
        self.running[name] = Running(process, log)
        return self.running[name]

    def await_ready(self, name: str, port: int) -> None:
        deadline, running = time.monotonic() + START_S, self.running[name]
        while time.monotonic() < deadline and running.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.02)
        raise AssertionError(f"{name} is not ready:\n{running.log.read_text()[-4000:]}")

    def client(self) -> Client:
        return Client.from_kubeconfig(self.layout.kubeconfig())

    def stop(self) -> None:
        for running in reversed(self.running.values()):
            if running.process.poll() is None:
                running.process.kill()
                running.process.wait(10)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="raftsman-control-") as path:
        found = Cluster(Path(path))
        try:
            settings = found.settings
            for name, port in (
                ("store", settings.store_metrics_port),
                ("apiserver", settings.apiserver_health_port),
                ("control", settings.control_health_port),
            ):
                found.start(name)
                found.await_ready(name, port)
            yield found
        finally:
            if os.environ.get("KEEP_LOGS"):
                for running in found.running.values():
                    print(running.log.read_text()[-20000:])
            found.stop()


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    async with cluster.client() as found:
        yield found


@pytest.fixture
async def namespace(client: Client) -> AsyncIterator[str]:
    """A fresh namespace whose default service account is there."""
    name = f"t-{secrets.token_hex(4)}"
    await client.create(core.Namespace(metadata=meta.ObjectMeta(name=name)))
    await client.wait(core.ServiceAccount, "default", lambda a: a is not None, namespace=name, timeout_s=10)
    yield name
    await client.delete_collection(core.Pod, namespace=name, grace_period_s=0)
