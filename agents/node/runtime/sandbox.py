"""Pod sandboxes without an infra container: pinned namespaces, a network link, a cgroup and the pod's own files.

    /run/raftsman/<instance>/ns/<pod uid>/{net,ipc,uts,shm}   see network.namespaces
    …/pid                                                     of pods that share it among their containers: see pause
    …/{hosts,hostname,resolv.conf}                            mounted into every container
    …/sandbox.json                                            written last: a sandbox without it is unfinished

Both `create` and `remove` may be repeated, and interrupted by anything, and repeated again.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from raftsman import logs
from raftsman.agents.node.network import addresses, links, namespaces, node

from . import errors, pause, pod_files
from .api import PodmanApi
from .cgroups import Cgroups, pod_path
from .layout import Layout
from .specs import NodeNetwork, Qos, Resources, Sandbox, SandboxSpec, Usage

log = logs.get(__name__)

VERSION = 1
RECORD = "sandbox.json"
PAUSE = "pause"
UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
NAMESPACED_SYSCTLS = re.compile(r"net\.|kernel\.(shm|msg|sem)|fs\.mqueue\.")


class Sandboxes:
    """All sandboxes of this instance. `empty(pod_uid)` removes a pod's containers before its sandbox goes."""

    def __init__(
        self, layout: Layout, api: PodmanApi, cgroups: Cgroups, *, empty: Callable[[str], Awaitable[None]]
    ) -> None:
        self._layout, self._api, self._cgroups, self._empty = layout, api, cgroups, empty
        self._known: dict[str, Sandbox] = {}
        self._busy: dict[str, asyncio.Lock] = {}
        self._working: set[asyncio.Task[Sandbox]] = set()
        self._network = node.PodNetwork(record=layout.network_record, book=layout.addresses, table=layout.nft_table)

    async def adopt(self) -> None:
        """Find the finished sandboxes and take the unfinished ones away."""
        await self._api.blocking(self._adopt)

    async def configure(self, network: NodeNetwork) -> None:
        """Set the node's pod network up; idempotent. SandboxFault with a sentence when it cannot be."""
        cidrs = node.Cidrs(pod=network.pod_cidr, cluster=network.cluster_cidr, service=network.service_cidr)
        try:
            await self._api.blocking(lambda: self._network.configure(cidrs))
        except (node.Refused, ValueError) as refused:
            raise errors.SandboxFault(str(refused), reason="NetworkNotReady") from refused
        await self._api.blocking(self._release_unknown)

    def get(self, pod_uid: str) -> Sandbox | None:
        return self._known.get(pod_uid)

    def list(self) -> tuple[Sandbox, ...]:
        return tuple(self._known.values())

    async def create(self, spec: SandboxSpec) -> Sandbox:
        """SandboxFault or Unsupported; whatever was made before a fault is made again or removed later.

        A cancelled caller does not stop it midway: `remove` waits for it and takes it away.
        """
        _refuse(spec)
        task = asyncio.get_running_loop().create_task(self._create_once(spec))
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return await asyncio.shield(task)

    async def remove(self, pod_uid: str) -> None:
        """Containers, cgroup, mounts, link and address. Idempotent."""
        async with self._lock(pod_uid):
            await self._empty(pod_uid)
            known = self._known.get(pod_uid)
            groups = [known.cgroup] if known else [pod_path(self._layout.cgroup_root, qos, pod_uid) for qos in Qos]
            await self._api.blocking(lambda: self._remove(pod_uid, groups))
            self._known.pop(pod_uid, None)
        self._busy.pop(pod_uid, None)

    async def update(self, pod_uid: str, resources: Resources) -> None:
        """Change a running pod's limits."""
        sandbox = self._required(pod_uid)
        await self._api.blocking(lambda: self._cgroups.limit(sandbox.cgroup, resources))

    async def usage(self, pod_uid: str) -> Usage:
        return self._cgroups.usage(self._required(pod_uid).cgroup)

    async def clear_node(self) -> None:
        await self._api.blocking(self._network.clear)

    async def _create_once(self, spec: SandboxSpec) -> Sandbox:
        async with self._lock(spec.pod_uid):
            if (known := self._known.get(spec.pod_uid)) is not None:
                return known
            # The service is needed in a moment, and may have to be started.
            _, made = await asyncio.gather(self._api.service.ensure(), self._api.blocking(lambda: self._create(spec)))
            self._known[spec.pod_uid] = made
            return made

    def _required(self, pod_uid: str) -> Sandbox:
        known = self._known.get(pod_uid)
        if known is None:
            raise errors.NotFound(f"no sandbox for pod {pod_uid}")
        return known

    def _lock(self, pod_uid: str) -> asyncio.Lock:
        return self._busy.setdefault(pod_uid, asyncio.Lock())

    def _create(self, spec: SandboxSpec) -> Sandbox:
        started = time.perf_counter()
        try:
            sandbox = self._make(spec)
        except OSError as refused:
            raise errors.SandboxFault(f"pod {spec.pod_namespace}/{spec.pod_name}: {refused}") from refused
        log.debug("sandbox made", pod=spec.pod_uid, ms=round((time.perf_counter() - started) * 1000))
        return sandbox

    def _make(self, spec: SandboxSpec) -> Sandbox:
        directory = self._layout.namespaces / spec.pod_uid
        cgroup = pod_path(self._layout.cgroup_root, spec.qos, spec.pod_uid)
        plan = namespaces.Plan(
            directory, spec.hostname, network=not spec.host_network, ipc=not spec.host_ipc, sysctls=spec.sysctls
        )
        namespaces.remove(directory)
        address = self._address(spec)
        namespaces.create(plan, lambda enter: self._link(spec.pod_uid, address, enter))
        self._cgroups.create_pod(cgroup, spec.resources)
        pod_files.write(directory, spec, address)
        holder = 0
        if spec.share_process_namespace:
            holder = pause.start(directory, lambda pid: self._cgroups.place(f"{cgroup}/{PAUSE}", pid))
        sandbox = Sandbox(
            pod_uid=spec.pod_uid, pod_name=spec.pod_name, pod_namespace=spec.pod_namespace, hostname=spec.hostname,
            addresses=(address,) if address else (), cgroup=cgroup, directory=directory,
            created_at=datetime.now(UTC), host_network=spec.host_network, host_ipc=spec.host_ipc,
            host_pid=spec.host_pid, pause_pid=holder,
        )  # fmt: skip
        _store(sandbox)
        return sandbox

    def _address(self, spec: SandboxSpec) -> str:
        if spec.host_network:
            return ""
        book = self._network.addresses
        if book is None:
            raise errors.SandboxFault("the node has no pod CIDR yet", reason="NetworkNotReady")
        try:
            return book.assign(spec.pod_uid)
        except addresses.Exhausted as full:
            raise errors.AddressesExhausted(str(full)) from full

    def _link(self, pod_uid: str, address: str, enter: Callable[[], None]) -> None:
        book = self._network.addresses
        if address and book is not None:
            links.connect(pod_uid, address, book.gateway, enter=enter)
        else:
            enter()

    def _remove(self, pod_uid: str, groups: Sequence[str]) -> None:
        for group in groups:
            self._cgroups.remove(group, kill=True)
            self._cgroups.balance(group.rpartition("/")[0])
        links.disconnect(pod_uid)
        directory = self._layout.namespaces / pod_uid
        namespaces.remove(directory)
        shutil.rmtree(directory, ignore_errors=True)
        if self._network.addresses is not None:
            self._network.addresses.release(pod_uid)

    def _adopt(self) -> None:
        namespaces.prepare(self._layout.namespaces)
        self._cgroups.prepare()
        for directory in self._layout.namespaces.iterdir():
            sandbox = _load(directory)
            if sandbox is not None and _whole(sandbox):
                self._known[sandbox.pod_uid] = sandbox
                continue
            namespaces.remove(directory)
            shutil.rmtree(directory, ignore_errors=True)

    def _release_unknown(self) -> None:
        book = self._network.addresses
        assert book is not None, "configured above"
        for pod_uid in set(book.held()) - set(self._known) - set(self._busy):
            book.release(pod_uid)


def _refuse(spec: SandboxSpec) -> None:
    if not UID.fullmatch(spec.pod_uid):
        raise errors.SandboxFault(f"pod uid {spec.pod_uid!r} is not a name that a directory can have")
    for name in spec.sysctls:
        if not NAMESPACED_SYSCTLS.match(name) or ".." in name or "/" in name:
            raise errors.Unsupported(f"sysctl {name} belongs to the whole machine, not to a pod")
        if (name.startswith("net.") and spec.host_network) or (not name.startswith("net.") and spec.host_ipc):
            raise errors.Unsupported(f"sysctl {name} cannot be set by a pod that shares the node's namespace for it")


def _whole(sandbox: Sandbox) -> bool:
    """False after a reboot, and when the node's own network namespace is another one than it was."""
    if sandbox.pause_pid and not pause.alive(sandbox.directory, sandbox.pause_pid):
        return False
    return namespaces.complete(_plan_of(sandbox)) and (sandbox.host_network or links.connected(sandbox.pod_uid))


def _plan_of(sandbox: Sandbox) -> namespaces.Plan:
    return namespaces.Plan(
        sandbox.directory, sandbox.hostname, network=not sandbox.host_network, ipc=not sandbox.host_ipc
    )


def _store(sandbox: Sandbox) -> None:
    document: dict[str, Any] = {
        "version": VERSION,
        "pod_uid": sandbox.pod_uid,
        "pod_name": sandbox.pod_name,
        "pod_namespace": sandbox.pod_namespace,
        "hostname": sandbox.hostname,
        "addresses": list(sandbox.addresses),
        "cgroup": sandbox.cgroup,
        "created_at": sandbox.created_at.isoformat(),
        "host_network": sandbox.host_network,
        "host_ipc": sandbox.host_ipc,
        "host_pid": sandbox.host_pid,
        "pause_pid": sandbox.pause_pid,
    }
    temporary = sandbox.directory / (RECORD + ".new")
    temporary.write_text(json.dumps(document))
    temporary.replace(sandbox.directory / RECORD)


def _load(directory: Path) -> Sandbox | None:
    try:
        document = json.loads((directory / RECORD).read_text())
    except (OSError, ValueError):
        return None
    if document.pop("version", None) != VERSION:
        return None
    return Sandbox(
        **{**document, "addresses": tuple(document["addresses"])}
        | {"directory": directory, "created_at": datetime.fromisoformat(document["created_at"])}
    )
