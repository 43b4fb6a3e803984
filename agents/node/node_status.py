"""The Node object of this machine: `labels`, `status(facts)`. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from raftsman import times
from raftsman.core import v1 as core

from .machine import Machine, Pressure
from .runtime import Image
from .settings import Settings

IMAGES_MAX = 50
NAMES_MAX = 5


@dataclass(frozen=True, slots=True)
class Facts:
    """What a node's status is made from."""

    machine: Machine
    pressure: Pressure
    not_ready: str | None
    """Why the node cannot run pods; None: it can."""
    runtime_version: str
    version: str
    images: tuple[Image, ...] = ()


def labels(settings: Settings, machine: Machine) -> dict[str, str]:
    return {
        "kubernetes.io/hostname": settings.node_name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.architecture,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": machine.architecture,
    }


def status(old: core.NodeStatus, settings: Settings, facts: Facts, *, now: datetime) -> core.NodeStatus:
    """The status now. Heartbeat times are all `now`; compare with `same` to see whether anything else changed."""
    new = core.NodeStatus()
    new.CopyFrom(old)
    _amounts(new, settings, facts.machine)
    del new.addresses[:]
    for kind, address in (("InternalIP", settings.node_ip), ("Hostname", settings.node_name)):
        new.addresses.add(type=kind, address=address)
    new.daemon_endpoints.kubelet_endpoint.port = settings.port
    _info(new, facts)
    _images(new, facts.images)
    _conditions(new, facts, now)
    return new


def same(one: core.NodeStatus, other: core.NodeStatus) -> bool:
    """Equal but for heartbeats."""
    return _without_heartbeats(one) == _without_heartbeats(other)


def _without_heartbeats(status: core.NodeStatus) -> core.NodeStatus:
    copy = core.NodeStatus()
    copy.CopyFrom(status)
    for condition in copy.conditions:
        condition.ClearField("last_heartbeat_time")
    return copy


def _amounts(new: core.NodeStatus, settings: Settings, machine: Machine) -> None:
    whole = {
        "cpu": str(machine.cpus),
        "memory": f"{machine.memory_bytes >> 10}Ki",
        "ephemeral-storage": f"{machine.storage_bytes >> 10}Ki",
        "pods": str(settings.pods_max),
    }
    usable = whole | {
        "memory": f"{machine.memory_allocatable >> 10}Ki",
        "ephemeral-storage": str(machine.storage_allocatable),
    }
    for name, text in whole.items():
        new.capacity[name].string = text
    for name, text in usable.items():
        new.allocatable[name].string = text


def _info(new: core.NodeStatus, facts: Facts) -> None:
    machine = facts.machine
    new.node_info.CopyFrom(
        core.NodeSystemInfo(
            machine_id=machine.machine_id,
            system_uuid=machine.system_uuid,
            boot_id=machine.boot_id,
            kernel_version=machine.kernel,
            os_image=machine.os_image,
            container_runtime_version=facts.runtime_version,
            kubelet_version=facts.version,
            kube_proxy_version=facts.version,
            operating_system="linux",
            architecture=machine.architecture,
        )
    )


def _images(new: core.NodeStatus, images: Iterable[Image]) -> None:
    del new.images[:]
    for image in sorted(images, key=lambda i: -i.size)[:IMAGES_MAX]:
        names = [*image.digests, *image.tags][:NAMES_MAX]
        if names:
            new.images.add(names=names, size_bytes=image.size)


def _conditions(new: core.NodeStatus, facts: Facts, now: datetime) -> None:
    pressure = facts.pressure
    _put(new, "MemoryPressure", pressure.memory, ("KubeletHasInsufficientMemory", "KubeletHasSufficientMemory"),
         "kubelet has sufficient memory available", now)  # fmt: skip
    _put(new, "DiskPressure", pressure.disk, ("KubeletHasDiskPressure", "KubeletHasNoDiskPressure"),
         "kubelet has no disk pressure", now)  # fmt: skip
    _put(new, "PIDPressure", pressure.pids, ("KubeletHasInsufficientPID", "KubeletHasSufficientPID"),
         "kubelet has sufficient PID available", now)  # fmt: skip
    ready = facts.not_ready is None
    reason, message = ("KubeletReady", "the node agent runs pods") if ready else ("KubeletNotReady", facts.not_ready)
    _set(new, "Ready", ready, reason, message or "", now)


def _put(
    new: core.NodeStatus, kind: str, trouble: str | None, reasons: tuple[str, str], fine: str, now: datetime
) -> None:
    _set(new, kind, trouble is not None, reasons[0] if trouble else reasons[1], trouble or fine, now)


def _set(new: core.NodeStatus, kind: str, true: bool, reason: str, message: str, now: datetime) -> None:
    word = "True" if true else "False"
    condition = next((c for c in new.conditions if c.type == kind), None)
    if condition is None:
        condition = new.conditions.add(type=kind)
    if condition.status != word:
        condition.status = word
        condition.last_transition_time.CopyFrom(times.from_datetime(now))
    condition.last_heartbeat_time.CopyFrom(times.from_datetime(now))
    condition.reason, condition.message = reason, message
