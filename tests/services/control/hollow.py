"""A node that is only an object: it says that it is ready, and that each of its pods runs as soon as it is assigned."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from raftsman import Client, EventType, errors, times
from raftsman.coordination import v1 as coordination
from raftsman.core import v1 as core

LEASE_RENEW_S = 5.0


def node(name: str, *, cpu: str = "4", memory: str = "8Gi") -> core.Node:
    found = core.Node()
    found.metadata.name = name
    found.metadata.labels["kubernetes.io/hostname"] = name
    for resource, text in {"cpu": cpu, "memory": memory, "pods": "110"}.items():
        found.status.allocatable[resource].string = found.status.capacity[resource].string = text
    found.status.conditions.add(
        type="Ready", status="True", reason="KubeletReady", message="ready",
        last_heartbeat_time=times.now(), last_transition_time=times.now(),
    )  # fmt: skip
    return found


class HollowNode:
    """`async with HollowNode(client, "n1"):` registers it, runs its pods, and takes both away at the end.

    Pods whose image ends in `broken` never become ready.
    """

    def __init__(self, client: Client, name: str, **resources: Any) -> None:
        self._client = client
        self._node = node(name, **resources)
        self.name = name

    async def __aenter__(self) -> HollowNode:
        made = await self._client.create(self._node)
        made.metadata.ClearField("resource_version")
        made.status.CopyFrom(self._node.status)
        await self._client.update_status(made)
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._keep_lease())]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.delete(core.Node, self.name)
        for pod in (await self._client.list(core.Pod, field_selector=f"spec.nodeName={self.name}")).items:
            await self._end(pod)
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        # A node that fell silent in the middle of the tests explains their failures.
        assert all(isinstance(one, asyncio.CancelledError) for one in ended), ended

    async def _run(self) -> None:
        async for event in self._client.watch(core.Pod, field_selector=f"spec.nodeName={self.name}"):
            if event.type is EventType.DELETED:
                continue
            if event.object.metadata.HasField("deletion_timestamp"):
                await self._end(event.object)
            elif event.object.status.phase != "Running":
                await self._start(event.object)

    async def _keep_lease(self) -> None:
        """As a real node does: without it, the node counts as lost after a while."""
        lease = coordination.Lease()
        lease.metadata.name, lease.metadata.namespace = self.name, "kube-node-lease"
        lease.spec.holder_identity, lease.spec.lease_duration_seconds = self.name, 40
        with contextlib.suppress(errors.AlreadyExists):
            await self._client.create(lease)
        while True:
            with contextlib.suppress(errors.Conflict, errors.Unavailable, errors.Timeout):
                held = await self._client.get(coordination.Lease, self.name, namespace="kube-node-lease")
                held.spec.CopyFrom(lease.spec)
                held.spec.renew_time.CopyFrom(times.micro_now())
                await self._client.update(held)
            await asyncio.sleep(LEASE_RENEW_S)

    async def _start(self, pod: core.Pod) -> None:
        pod.metadata.ClearField("resource_version")
        pod.status.phase = "Running"
        ready = "False" if pod.spec.containers[0].image.endswith("broken") else "True"
        pod.status.conditions.add(type="Ready", status=ready, last_transition_time=times.now())
        try:
            await self._client.update_status(pod)
        except (errors.NotFound, errors.Conflict):
            return

    async def _end(self, pod: core.Pod) -> None:
        try:
            await self._client.delete(
                core.Pod, pod.metadata.name, namespace=pod.metadata.namespace, grace_period_s=0, uid=pod.metadata.uid
            )
        except (errors.NotFound, errors.Conflict):
            return
