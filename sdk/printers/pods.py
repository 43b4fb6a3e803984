"""A pod's cells. STATUS is one word for phase, container states and deletion, as `kubectl get pods` shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from raftsman import times
from raftsman.core import v1 as core

NONE = "<none>"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a pod's containers add up to."""

    status: str
    ready: int
    total: int
    restarts: int
    last_restart_s: int

    def restarts_text(self, now: datetime) -> str:
        if not self.restarts or not self.last_restart_s:
            return str(self.restarts)
        ago = times.human_duration(now.timestamp() - self.last_restart_s)
        return f"{self.restarts} ({ago} ago)"


def pod(obj: core.Pod, now: datetime) -> Sequence[str]:
    found = summary(obj)
    return (
        obj.metadata.name,
        f"{found.ready}/{found.total}",
        found.status,
        found.restarts_text(now),
        times.age(obj.metadata.creation_timestamp, now=now),
        _address(obj),
        obj.spec.node_name or NONE,
        obj.status.nominated_node_name or NONE,
        _gates(obj),
    )


def _address(obj: core.Pod) -> str:
    return (obj.status.pod_ips[0].ip if obj.status.pod_ips else obj.status.pod_ip) or NONE


def _gates(obj: core.Pod) -> str:
    if not obj.spec.readiness_gates:
        return NONE
    true = {condition.type for condition in obj.status.conditions if condition.status == "True"}
    passed = sum(gate.condition_type in true for gate in obj.spec.readiness_gates)
    return f"{passed}/{len(obj.spec.readiness_gates)}"


def condition_true(obj: core.Pod, name: str) -> bool:
    return any(c.type == name and c.status == "True" for c in obj.status.conditions)


def summary(obj: core.Pod) -> Summary:
    """The pod in one status word and three numbers."""
    status = obj.status.reason or obj.status.phase or "Unknown"
    if any(c.type == "PodScheduled" and c.reason == "SchedulingGated" for c in obj.status.conditions):
        status = "SchedulingGated"
    sidecars = {c.name for c in obj.spec.init_containers if c.restart_policy == "Always"}
    inits = list(obj.status.init_container_statuses)
    mains = list(obj.status.container_statuses)
    waiting_on = _initializing(obj, sidecars)
    ready = sum(c.ready for c in inits if c.name in sidecars and c.started)
    if waiting_on and not condition_true(obj, "Initialized"):
        status, counted = waiting_on, inits
    else:
        status, running = _main_status(status, mains)
        ready += running
        if status == "Completed" and running:
            status = "Running" if condition_true(obj, "Ready") else "NotReady"
        counted = [*(c for c in inits if c.name in sidecars), *mains]
    return Summary(
        _deletion_status(obj, status),
        ready,
        len(obj.spec.containers) + len(sidecars),
        sum(c.restart_count for c in counted),
        max((c.last_state.terminated.finished_at.seconds for c in counted), default=0),
    )


def _deletion_status(obj: core.Pod, status: str) -> str:
    if not obj.metadata.HasField("deletion_timestamp"):
        return status
    if obj.status.reason == "NodeLost":
        return "Unknown"
    return status if obj.status.phase in ("Succeeded", "Failed") else "Terminating"


def _initializing(obj: core.Pod, sidecars: set[str]) -> str:
    """The status while init containers run, "" once they have."""
    for index, container in enumerate(obj.status.init_container_statuses):
        state = container.state
        if state.HasField("terminated"):
            if state.terminated.exit_code == 0:
                continue
            return f"Init:{_ending(state.terminated)}"
        if container.name in sidecars and container.started:
            continue
        if state.waiting.reason and state.waiting.reason != "PodInitializing":
            return f"Init:{state.waiting.reason}"
        return f"Init:{index}/{len(obj.spec.init_containers)}"
    return ""


def _ending(terminated: core.ContainerStateTerminated) -> str:
    if terminated.reason:
        return terminated.reason
    return f"Signal:{terminated.signal}" if terminated.signal else f"ExitCode:{terminated.exit_code}"


def _main_status(status: str, containers: Sequence[core.ContainerStatus]) -> tuple[str, int]:
    """The status by the first container that waits or has ended, and how many run and are ready."""
    running = 0
    for container in reversed(containers):
        state = container.state
        if state.waiting.reason:
            status = state.waiting.reason
        elif state.HasField("terminated"):
            status = _ending(state.terminated)
        elif container.ready and state.HasField("running"):
            running += 1
    return status, running
