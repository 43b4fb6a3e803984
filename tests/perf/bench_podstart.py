"""From the API's create to a watcher that sees Running, one pod at a time and many at once, beside raw `runc run`.

Pods and raw containers alternate, so both meet the same machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path

from measure import report
from raftsman import Client
from raftsman.core import v1 as core
from raftsman.testing import Cluster, Network

PODS = 20
BURST = 36
BUSYBOX = "/bin/busybox"


def pod(name: str) -> core.Pod:
    wanted = core.Pod()
    wanted.metadata.name, wanted.metadata.namespace = name, "default"
    wanted.spec.containers.add(name="main", image="localhost/raftsman-demo:1", command=["sleep", "3600"])
    wanted.spec.termination_grace_period_seconds = 0
    return wanted


class RawRunc:
    """The floor: `runc run -d` of the same program, without anything around it."""

    def __init__(self, folder: Path) -> None:
        self.bundle = folder / "bundle"
        rootfs = self.bundle / "rootfs/bin"
        rootfs.mkdir(parents=True)
        shutil.copy(BUSYBOX, rootfs / "sleep")
        subprocess.run(["runc", "spec"], cwd=self.bundle, check=True)
        config = json.loads((self.bundle / "config.json").read_text())
        config["process"] |= {"terminal": False, "args": ["/bin/sleep", "3600"], "rlimits": []}
        (self.bundle / "config.json").write_text(json.dumps(config))

    def start_s(self, name: str) -> float:
        started = time.monotonic()
        subprocess.run(
            ["runc", "run", "-d", "--bundle", str(self.bundle), name],
            check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        took_s = time.monotonic() - started
        subprocess.run(["runc", "delete", "-f", name], check=True)
        return took_s


class Watcher:
    """Notes when each pod was first seen Running."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._seen: dict[str, asyncio.Future[float]] = {}

    def expect(self, name: str) -> asyncio.Future[float]:
        return self._seen.setdefault(name, asyncio.get_running_loop().create_future())

    async def run(self) -> None:
        async for event in self._client.watch(core.Pod, namespace="default"):
            seen = self.expect(event.object.metadata.name)
            if event.object.status.phase == "Running" and not seen.done():
                seen.set_result(time.monotonic())


async def one_by_one(client: Client, watcher: Watcher, raw: RawRunc) -> tuple[list[float], list[float]]:
    pods, floors = [], []
    for number in range(PODS):
        name = f"one-{number}"
        started = time.monotonic()
        await client.create(pod(name))
        pods.append(await asyncio.wait_for(watcher.expect(name), 30) - started)
        await client.delete(core.Pod, name, namespace="default", grace_period_s=0)
        floors.append(await asyncio.to_thread(raw.start_s, f"raw-{os.getpid()}-{number}"))
    return pods, floors


async def burst(client: Client, watcher: Watcher) -> float:
    names = [f"burst-{number}" for number in range(BURST)]
    started = time.monotonic()
    await asyncio.gather(*(client.create(pod(name)) for name in names))
    ends = await asyncio.wait_for(asyncio.gather(*(watcher.expect(name) for name in names)), 120)
    return BURST / (max(ends) - started)


async def measure(cluster: Cluster) -> None:
    raw = RawRunc(cluster.home)
    async with Client.from_kubeconfig(str(cluster.kubeconfig)) as client:
        watcher = Watcher(client)
        watching = asyncio.create_task(watcher.run())
        pods, floors = await one_by_one(client, watcher, raw)
        rate = await burst(client, watcher)
        watching.cancel()
    pod_ms, floor_ms = statistics.median(pods) * 1000, statistics.median(floors) * 1000
    report("podstart", pod_ms, "ms", reference=floor_ms, reference_name="runc run -d")
    report("podstart_ratio", pod_ms / floor_ms, "times raw runc")
    report("podstart_p90", sorted(pods)[int(len(pods) * 0.9)] * 1000, "ms")
    report("podstart_rate", rate, "pods/s", better="higher")


def main() -> None:
    with Network() as network, Cluster(network) as cluster:
        namespace = os.open(f"/run/netns/{network.node}", os.O_RDONLY)
        _setns(namespace)
        asyncio.run(measure(cluster))


def _setns(descriptor: int) -> None:
    import ctypes

    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")


if __name__ == "__main__":
    main()
