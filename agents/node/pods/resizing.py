"""Changing the processor time and memory of containers that run (KEP-1287). Pure, but for `Resizer`.

What a container has is on it as a label, written when it is made and changed here; what it should have is in the pod.
A node on which the new requests never fit says Infeasible, one on which they do not fit now Deferred; until they fit
the container keeps what it has. `resizePolicy` says whether a changed resource needs a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raftsman import logs
from raftsman.agents.node.runtime import Container, Phase, Resources, Runtime, RuntimeFault
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from . import qos
from .observation import RESOURCES_LABEL, specs_of
from .record import Record

log = logs.get(__name__)

RETRY_S = 10.0
INFEASIBLE, DEFERRED = "Infeasible", "Deferred"
RESTART = "RestartContainer"
_RESIZED = ("cpu", "memory")


@dataclass(frozen=True, slots=True)
class Room:
    """What the node gives to pods, and what those beside this one ask for; thousandths by resource."""

    whole: Mapping[str, int]
    taken: Mapping[str, int]


def label_of(container: core.Container) -> str:
    """What the container should have, as RESOURCES_LABEL has it: shares, quota and memory limit."""
    wanted = limits_of(container)
    return f"{wanted.cpu_shares}/{wanted.cpu_quota_us}/{wanted.memory_limit}"


def limits_of(container: core.Container) -> Resources:
    return qos.container_resources(core.Pod(), container, memory_capacity=0)


def differs(container: core.Container, run: Container) -> bool:
    """Whether a running container has something else than it should."""
    return run.phase is Phase.RUNNING and run.labels.get(RESOURCES_LABEL, "") not in ("", label_of(container))


def restarts(container: core.Container, run: Container) -> bool:
    """Whether what differs needs a restart."""
    now, then = label_of(container).split("/"), run.labels[RESOURCES_LABEL].split("/")
    changed = {name for name, differ in (("cpu", now[:2] != then[:2]), ("memory", now[2] != then[2])) if differ}
    return any(one.resource_name in changed and one.restart_policy == RESTART for one in container.resize_policy)


def blocked(pod: core.Pod, room: Room) -> tuple[str, str] | None:
    """(reason, message) if the node has no room for what the pod asks for."""
    for name in _RESIZED:
        asked = qos.pod_request_milli(pod, name)
        if asked > room.whole[name]:
            return (
                INFEASIBLE,
                f"Node didn't have enough capacity: {name}, requested: {asked}, capacity: {room.whole[name]}",
            )
    for name in _RESIZED:
        asked = qos.pod_request_milli(pod, name)
        if asked + room.taken[name] > room.whole[name]:
            return DEFERRED, (
                f"Node didn't have enough resource: {name}, requested: {asked}, used: {room.taken[name]}, "
                f"capacity: {room.whole[name]}"
            )
    return None


def report(
    status: core.ContainerStatus, container: core.Container, run: Container, known: core.ContainerStatus | None
) -> None:
    """What the container has been given, and has."""
    if not (container.resources.requests or container.resources.limits):
        return
    if differs(container, run):
        # What it had before, as it was told last.
        if known is not None and known.HasField("resources"):
            status.resources.CopyFrom(known.resources)
            _copy(status.allocated_resources, known.allocated_resources)
        return
    status.resources.CopyFrom(container.resources)
    _copy(status.allocated_resources, container.resources.requests)


def _copy(target: object, source: Mapping[str, meta.Quantity]) -> None:
    for name in source:
        target[name].CopyFrom(source[name])  # type: ignore[index]


class Resizer:
    """Writes the new limits of a container and its pod."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def resize(self, record: Record, container_id: str, name: str) -> None:
        """On a fault it is noted in the record and tried again after RETRY_S."""
        spec = next((one for one in specs_of(record.pod) if one.name == name), None)
        if spec is None:
            return
        try:
            await self._write(record, container_id, spec)
        except RuntimeFault as fault:
            log.warning("resources not changed", pod=record.key, container=name, error=fault)
            record.resize_faults[container_id] = (asyncio.get_running_loop().time() + RETRY_S, fault.message)
        else:
            record.resize_faults.pop(container_id, None)
            log.info("resources changed", pod=record.key, container=name)

    async def _write(self, record: Record, container_id: str, spec: core.Container) -> None:
        """A pod's limits hold its containers' and may not be below them: growing begins outside, shrinking inside."""
        whole, own, label = qos.pod_resources(record.pod), limits_of(spec), {RESOURCES_LABEL: label_of(spec)}
        try:
            await self._runtime.sandboxes.update(record.uid, whole)
        except RuntimeFault:
            await self._runtime.containers.update(container_id, own, label)
            await self._runtime.sandboxes.update(record.uid, whole)
        else:
            await self._runtime.containers.update(container_id, own, label)


def taken(pods: Iterable[core.Pod]) -> dict[str, int]:
    """What these pods ask for together."""
    pods = list(pods)
    return {name: sum(qos.pod_request_milli(pod, name) for pod in pods) for name in _RESIZED}
