"""This machine in the API: its Node, whose status is written when it changes (and every REPORT_S), and its lease,
renewed every RENEW_S so that the control plane sees at little cost that the agent lives.

`run` never ends by an error of the API: it tries again after at most RETRY_MAX_S.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from raftsman import errors, logs, times
from raftsman.client import Client
from raftsman.coordination import v1 as coordination
from raftsman.core import v1 as core
from raftsman.metadata import owner_reference

from . import node_status
from .settings import Settings

log = logs.get(__name__)

RENEW_S = 10.0
REPORT_S = 300.0
LEASE_S = 40
RETRY_FIRST_S = 0.1
RETRY_MAX_S = 7.0
LEASE_NAMESPACE = "kube-node-lease"


class Registration:
    """`facts()` says how the node is; call `changed()` when it would say something new."""

    def __init__(self, settings: Settings, client: Client, *, facts: Callable[[], node_status.Facts]) -> None:
        self._settings = settings
        self._client = client
        self._facts = facts
        self._node: core.Node | None = None
        self._lease: coordination.Lease | None = None
        self._wake = asyncio.Event()
        self._registered = asyncio.Event()
        self._ready = asyncio.Event()

    @property
    def node(self) -> core.Node | None:
        """As last seen or written."""
        return self._node

    async def registered(self) -> None:
        """Wait until the API has the Node."""
        await self._registered.wait()

    async def ready(self) -> None:
        """Wait until the API has heard that the node is ready."""
        await self._ready.wait()

    @property
    def is_ready(self) -> bool:
        """Whether the API has heard once that the node is ready."""
        return self._ready.is_set()

    def changed(self) -> None:
        """Have the status looked at again now."""
        self._wake.set()

    def seen(self, node: core.Node) -> None:
        """The watch brought a newer state of the Node."""
        if self._node is None or int(node.metadata.resource_version) > int(self._node.metadata.resource_version):
            self._node = node

    def lost(self) -> None:
        """Somebody deleted the Node: it is registered again."""
        self._node = None
        self._wake.set()

    async def run(self) -> None:
        """Keep Node and lease until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_node(), name="node status")
            group.create_task(self._keep_lease(), name="node lease")

    async def _keep_node(self) -> None:
        delay_s, written_at = RETRY_FIRST_S, 0.0
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            try:
                # The watch may bring the Node before the first try here succeeds.
                if self._node is None or not self._registered.is_set():
                    await self._register()
                if await self._report(force=loop.time() - written_at >= REPORT_S):
                    written_at = loop.time()
                delay_s = RETRY_FIRST_S
            except errors.ApiError as error:
                self._node = None if isinstance(error, errors.Conflict) else self._node
                log.warning("node status not written", node=self._settings.node_name, error=error)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RETRY_MAX_S)
                continue
            try:
                async with asyncio.timeout(RENEW_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _register(self) -> None:
        wanted = node_status.labels(self._settings, self._facts().machine)
        try:
            node = await self._client.get(core.Node, self._settings.node_name)
        except errors.NotFound:
            node = core.Node()
            node.metadata.name = self._settings.node_name
            node.metadata.labels.update(wanted)
            node.status.CopyFrom(self._status(node))
            node = await self._client.create(node)
            log.info("node registered", node=node.metadata.name)
        missing = {k: v for k, v in wanted.items() if node.metadata.labels.get(k) != v}
        if missing:
            patch = {"metadata": {"labels": missing}}
            node = await self._client.patch(core.Node, node.metadata.name, patch)
        self._node = node
        self._registered.set()

    def _status(self, node: core.Node) -> core.NodeStatus:
        return node_status.status(node.status, self._settings, self._facts(), now=datetime.now(UTC))

    async def _report(self, *, force: bool) -> bool:
        node = self._node
        assert node is not None
        status = self._status(node)
        if force or not node_status.same(status, node.status):
            copy = core.Node()
            copy.CopyFrom(node)
            copy.status.CopyFrom(status)
            try:
                self._node = await self._client.update_status(copy)
            except errors.NotFound:
                self._node = None
                raise
            force = True
        if self._facts().not_ready is None and not self._ready.is_set():
            self._ready.set()
            log.info("node ready", node=self._settings.node_name)
        return force

    async def _keep_lease(self) -> None:
        await self.registered()
        delay_s = RETRY_FIRST_S
        while True:
            try:
                await self._renew()
            except errors.Conflict:
                self._lease = None
                continue
            except errors.ApiError as error:
                self._lease = None
                log.warning("node lease not renewed", node=self._settings.node_name, error=error)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RETRY_MAX_S)
                continue
            delay_s = RETRY_FIRST_S
            await asyncio.sleep(RENEW_S)

    async def _renew(self) -> None:
        name = self._settings.node_name
        if self._lease is None:
            try:
                self._lease = await self._client.get(coordination.Lease, name, namespace=LEASE_NAMESPACE)
            except errors.NotFound:
                await self._create_lease()
                return
        lease = coordination.Lease()
        lease.CopyFrom(self._lease)
        lease.spec.holder_identity = name
        lease.spec.lease_duration_seconds = LEASE_S
        lease.spec.renew_time.CopyFrom(times.micro_now())
        self._lease = await self._client.update(lease)

    async def _create_lease(self) -> None:
        name = self._settings.node_name
        lease = coordination.Lease()
        lease.metadata.name, lease.metadata.namespace = name, LEASE_NAMESPACE
        if self._node is not None:
            reference = owner_reference(self._node, controller=False)
            reference.ClearField("block_owner_deletion")
            lease.metadata.owner_references.append(reference)
        lease.spec.holder_identity = name
        lease.spec.lease_duration_seconds = LEASE_S
        lease.spec.renew_time.CopyFrom(times.micro_now())
        self._lease = await self._client.create(lease)
