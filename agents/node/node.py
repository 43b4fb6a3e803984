"""The node agent as one object: runtime, pods, registration and server, started side by side and stopped in order."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import grpc
import prometheus_client
from raftsman import logs
from raftsman.client import Client, EventType
from raftsman.core import v1 as core
from raftsman.informer import Informers
from raftsman.recorder import EventRecorder

from . import fields, machine, node_status, server
from .pods import name_resolution
from .pods.pods import Pods
from .pods.stopping import Departed
from .registration import Registration
from .runtime import Dns, Image, NodeNetwork, Runtime, RuntimeFault
from .settings import Settings

log = logs.get(__name__)

RETRY_S = 5.0
IMAGES_S = 60.0
SETTLE_S = 2.0
"""How long what is only for people to read (version, images) waits for the first pods to have the CPU."""
RESOLV_CONF = Path("/etc/resolv.conf")
_pods_gauge = prometheus_client.Gauge("raftsman_node_pods", "Pods that this node looks after.")


class NodeAgent:
    """kubelet's role on one node. `runtime` need not be started yet; `departed` is asked before a pod is stopped."""

    def __init__(
        self, settings: Settings, client: Client, *, informers: Informers, runtime: Runtime,
        departed: Departed | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._runtime = runtime
        self._runtime_version = "podman://unknown"
        self._version = f"v{importlib.metadata.version('raftsman')}"
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self._machine = machine.read(settings.data_dir)
        self._images: tuple[Image, ...] = ()
        self._runtime_trouble: str | None = "the container runtime is starting"
        self._network_trouble: str | None = "the node has no pod CIDR yet"
        self._cidr = ""
        self._runtime_up = asyncio.Event()
        self._events = EventRecorder(client, "kubelet", host=settings.node_name)
        mine = f"metadata.name={settings.node_name}"
        self._node_informer = informers.get(core.Node, field_selector=mine)
        pods = informers.get(core.Pod, field_selector=f"spec.nodeName={settings.node_name}")
        self.registration = Registration(settings, client, facts=self._facts)
        self.pods = Pods(
            settings,
            runtime,
            client=client,
            pods=pods,
            services=informers.get(core.Service),
            events=self._events,
            departed=departed,
            host_dns=_host_dns(),
            node=fields.Facts(
                host_ip=settings.node_ip,
                cpu_milli=self._machine.cpus * 1000,
                memory_bytes=self._machine.memory_allocatable,
                storage_bytes=self._machine.storage_allocatable,
            ),
        )
        self._server: grpc.aio.Server | None = None
        self._cidr_known = asyncio.Event()
        _pods_gauge.set_function(lambda: self.pods.count)

    async def run(self) -> None:
        """Until cancelled. Containers go on."""
        self._node_informer.add_handler(self._node_changed)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._events.run(), name="events")
                group.create_task(self.registration.run(), name="registration")
                group.create_task(self._start_runtime(), name="runtime")
                group.create_task(self._configure_network(), name="network")
                group.create_task(self._take_inventory(), name="inventory")
        finally:
            if self._server is not None:
                await self._server.stop(server.STOP_GRACE_S)
            await self.pods.close()

    async def ready(self) -> None:
        """A readiness check: raises with what is missing."""
        trouble = self._facts().not_ready
        if trouble is not None:
            raise RuntimeError(trouble)
        if not self.registration.is_ready:
            raise RuntimeError("the API has not heard yet that the node is ready")

    async def wait_ready(self) -> None:
        """Wait until the API has the node, Ready."""
        await self.registration.ready()

    def _facts(self) -> node_status.Facts:
        return node_status.Facts(
            machine=self._machine,
            pressure=machine.pressure(self._settings.data_dir),
            not_ready=self._runtime_trouble or self._network_trouble,
            runtime_version=self._runtime_version,
            version=self._version,
            images=self._images,
        )

    def _node_changed(self, kind: EventType, old: core.Node | None, new: core.Node | None) -> None:
        if new is None:
            self.registration.lost()
            return
        self.registration.seen(new)
        cidr = new.spec.pod_cidr or next(iter(new.spec.pod_cidrs), "")
        if cidr and cidr != self._cidr:
            self._cidr = cidr
            self._cidr_known.set()

    async def _start_runtime(self) -> None:
        while (trouble := await _try(self._runtime.start())) is not None:
            self._runtime_trouble = f"the container runtime is not available: {trouble}"
            self.registration.changed()
            await asyncio.sleep(RETRY_S)
        await self.pods.start()
        self._server = server.create(self._settings, self.pods, self._runtime)
        await self._server.start()
        self._runtime_trouble = None
        self._runtime_up.set()
        self.registration.changed()

    async def _configure_network(self) -> None:
        await self._cidr_known.wait()
        await self._runtime_up.wait()
        while True:
            self._cidr_known.clear()
            network = NodeNetwork(self._cidr, self._settings.cluster_cidr, self._settings.service_cidr)
            while (trouble := await _try(self._runtime.network.configure(network))) is not None:
                self._network_trouble = f"no pod network: {trouble}"
                self.registration.changed()
                await asyncio.sleep(RETRY_S)
            self._network_trouble = None
            log.debug("network ready", cidr=self._cidr)
            self.pods.network_is_ready()
            self.registration.changed()
            await self._cidr_known.wait()

    async def _take_inventory(self) -> None:
        """Podman's version and the images of the node's status, read once the node is ready; images now and then."""
        await self.registration.ready()
        await asyncio.sleep(SETTLE_S)
        self._runtime_version = await _podman_version(self._runtime)
        self.registration.changed()
        while True:
            try:
                images = tuple(await self._runtime.images.list())
            except RuntimeFault as fault:
                log.warning("images not listed", error=fault)
                images = self._images
            if images != self._images:
                self._images = images
                self.registration.changed()
            await asyncio.sleep(IMAGES_S)


async def _try(step: Coroutine[Any, Any, None]) -> str | None:
    """Why it failed, if it did."""
    try:
        await step
    except (RuntimeFault, OSError) as fault:
        log.error("not yet possible", error=fault)
        return str(fault)
    return None


async def _podman_version(runtime: Runtime) -> str:
    try:
        document = await runtime.api.get("/version")
    except RuntimeFault:
        return "podman://unknown"
    return f"podman://{document.get('Version', 'unknown')}"


def _host_dns() -> Dns:
    try:
        return name_resolution.parse_resolv_conf(RESOLV_CONF.read_text())
    except OSError:
        return Dns()
