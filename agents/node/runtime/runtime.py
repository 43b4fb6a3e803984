"""The runtime as one object: see the package's docstring for how it is used."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raftsman import logs

from . import podman_config
from .api import PodmanApi
from .cgroups import Cgroups
from .containers import Containers
from .images import Images
from .layout import DEFAULT_DATA_DIR, Layout
from .logs import Rotation
from .sandbox import Sandboxes
from .service import IDLE_S, Service
from .specs import NodeNetwork

log = logs.get(__name__)

ROTATE_S = 10.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    data_dir: Path = DEFAULT_DATA_DIR
    image_stores: tuple[Path, ...] = ()
    """Additional read-only image stores, shared by the nodes of a testbed."""
    oci_runtime: str | None = None
    """runc or crun; None chooses by what the machine has."""
    service_idle_s: float = IDLE_S
    """How long Podman's service outlives its last use, in seconds."""


class Network:
    """The node's pod network."""

    def __init__(self, sandboxes: Sandboxes) -> None:
        self._sandboxes = sandboxes

    async def configure(self, network: NodeNetwork) -> None:
        """Addresses, routes and masquerading. Idempotent; SandboxFault with reason NetworkNotReady if refused."""
        await self._sandboxes.configure(network)


class Runtime:
    """Podman, sandboxes, containers and images of one instance. Unavailable if this machine cannot run them."""

    def __init__(self, config: RuntimeConfig) -> None:
        self.machine = podman_config.detect(config.oci_runtime)
        self.layout = layout = Layout.of(config.data_dir)
        environment = podman_config.write(layout, self.machine, config.image_stores)
        self.cgroups = Cgroups(layout.cgroup_root, self.machine.cgroup_version)
        self.service = Service(layout, environment, place=self.cgroups.adopt_service, idle_s=config.service_idle_s)
        self.api = PodmanApi(self.service)
        self.images = Images(layout, self.api)
        self.containers = Containers(
            layout, self.api, self.cgroups, images=self.images, oci_runtime=self.machine.oci_runtime
        )
        self.sandboxes = Sandboxes(layout, self.api, self.cgroups, empty=self._empty)
        self.network = Network(self.sandboxes)
        self._rotation = Rotation(layout)
        self._rotating: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start Podman's service and re-adopt what an earlier agent left running."""
        forget_last_boot(self.layout)
        await asyncio.gather(self.service.ensure(), self.api.warm())
        await self.sandboxes.adopt()
        await self.containers.adopt()
        self._rotating = asyncio.create_task(self._rotate())
        log.info(
            "container runtime ready", oci=self.machine.oci_runtime, cgroups=f"v{self.machine.cgroup_version}",
            containers=len(self.containers.list()), sandboxes=len(self.sandboxes.list()),
        )  # fmt: skip

    async def stop(self) -> None:
        """Stop watching and stop Podman's service. Containers go on."""
        if self._rotating is not None:
            self._rotating.cancel()
        self.containers.close()
        await self.service.stop()
        self.api.close()

    async def _rotate(self) -> None:
        while True:
            await asyncio.sleep(ROTATE_S)
            self._rotation.run(self.containers.list())

    async def _empty(self, pod_uid: str) -> None:
        removals: Sequence[str] = [container.id for container in self.containers.list(pod_uid)]
        await asyncio.gather(*(self.containers.remove(container_id) for container_id in removals))


def forget_last_boot(layout: Layout) -> None:
    """Podman tells a reboot by its temporary directory being gone, which it is not where /run is on a disk."""
    layout.run_dir.mkdir(parents=True, exist_ok=True)
    boot, marker = BOOT_ID.read_text(), layout.run_dir / "boot_id"
    if marker.exists() and marker.read_text() == boot:
        return
    for directory in (layout.tmp_dir, layout.run_root):
        shutil.rmtree(directory, ignore_errors=True)
    marker.write_text(boot)
