"""A real runtime of its own for each test module: data directory, network namespace, Podman and the demo images."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from raftsman.agents.node import runtime as node_runtime
from raftsman.agents.node.runtime import cleanup

ROOT = Path(__file__).parents[4]
NETWORK = node_runtime.NodeNetwork(pod_cidr="10.244.7.0/24", cluster_cidr="10.244.0.0/16", service_cidr="10.96.0.0/16")
CLONE_NEWNET = 0x40000000


@pytest.fixture(scope="module")
def node_namespace() -> Iterator[str]:
    """The test's thread, and all that it starts, is in a fresh network namespace."""
    name = f"rm-{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    enter(Path("/run/netns", name))
    try:
        yield name
    finally:
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.setns(home, CLONE_NEWNET) == 0
        os.close(home)
        subprocess.run(["ip", "netns", "del", name], check=True)


def enter(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET) == 0
    finally:
        os.close(descriptor)


@dataclass
class Node:
    """A started runtime and what tests need of it."""

    runtime: node_runtime.Runtime
    exits: list[node_runtime.Container] = field(default_factory=list)

    def pod(self, **changes: object) -> node_runtime.SandboxSpec:
        uid = f"t-{secrets.token_hex(6)}"
        given: dict[str, object] = {"pod_uid": uid, "pod_name": uid, "pod_namespace": "default", "hostname": uid}
        return node_runtime.SandboxSpec(**{**given, **changes})  # type: ignore[arg-type]

    def container(self, sandbox: node_runtime.Sandbox, *command: str, **changes: object) -> node_runtime.ContainerSpec:
        name = str(changes.pop("name", "main"))
        log_path = self.runtime.layout.data_dir / "pods" / sandbox.pod_uid / f"{name}.log"
        given: dict[str, object] = {
            "name": name, "image": "localhost/raftsman-demo:1", "log_path": log_path, "command": command,
        }  # fmt: skip
        return node_runtime.ContainerSpec(**{**given, **changes})  # type: ignore[arg-type]

    async def sandbox(self, **changes: object) -> node_runtime.Sandbox:
        return await self.runtime.sandboxes.create(self.pod(**changes))

    async def run(self, *command: str, **changes: object) -> node_runtime.Container:
        """A pod of one container."""
        sandbox = await self.sandbox()
        return await self.runtime.containers.run(sandbox, self.container(sandbox, *command, **changes))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory, node_namespace: str) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("node")
    subprocess.run([sys.executable, ROOT / "examples/demo-image/build.py", "--data-dir", directory], check=True)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(data_dir: Path) -> AsyncIterator[Node]:
    started = Node(node_runtime.Runtime(node_runtime.RuntimeConfig(data_dir=data_dir)))
    await started.runtime.start()
    await started.runtime.network.configure(NETWORK)
    started.runtime.containers.on_exit(started.exits.append)
    yield started
    await started.runtime.stop()
    assert await cleanup.teardown_node(data_dir, purge=True, grace_s=0) == ()
