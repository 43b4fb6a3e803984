"""Decide what a node's silence or its own words mean: conditions, taints, and pods that cannot be ready.

    heard of within the grace period, Ready=True     → no taint of ours
    heard of, Ready=False                            → not-ready: NoSchedule, NoExecute
    silent for longer                                → conditions Unknown; unreachable: NoSchedule, NoExecute
    no node of the cluster is heard of               → no NoExecute: it is us who cannot hear
    just registered, no condition yet                → the taint it registered with stays

Pure: no I/O, no clock. Keys and meanings of the taints are Kubernetes' ("Taint based Evictions").
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from raftsman import times
from raftsman.core import v1 as core

GRACE_S = 40.0
STARTUP_GRACE_S = 60.0

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
NO_SCHEDULE, NO_EXECUTE = "NoSchedule", "NoExecute"
CONDITION_TAINTS = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
OWNED = frozenset(
    {(key, NO_SCHEDULE) for key in (NOT_READY, UNREACHABLE, UNSCHEDULABLE, *CONDITION_TAINTS.values())}
    | {(key, NO_EXECUTE) for key in (NOT_READY, UNREACHABLE)}
)
"""The taints that are put and taken away here, by key and effect; all others are left alone."""


class Health(enum.Enum):
    READY = "ready"
    NOT_READY = "not-ready"
    SILENT = "silent"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Observed:
    node: core.Node
    silent_s: float
    """Since something was last heard of it: its lease renewed or its status changed."""

    others_heard: bool
    """Whether any other node is ready."""


@dataclass(frozen=True, slots=True)
class Plan:
    health: Health
    status: core.NodeStatus | None = None
    """What to write instead of the present status."""

    taints: tuple[core.Taint, ...] | None = None
    """What to write instead of the present taints."""

    unready_pods: bool = False
    """Whether nothing that runs there can be called ready."""

    requeue_after_s: float | None = None


def decide(observed: Observed, *, now: datetime) -> Plan:
    health = _health(observed)
    taints = _taints(observed, health, now)
    return Plan(
        health=health,
        status=_silenced(observed.node, now) if health is Health.SILENT else None,
        taints=None if _same(taints, observed.node.spec.taints) else taints,
        unready_pods=health is Health.SILENT,
        requeue_after_s=None if health is Health.SILENT else max(_grace_s(observed.node) - observed.silent_s, 0) + 0.1,
    )


def ready_condition(node: core.Node) -> core.NodeCondition | None:
    return next((c for c in node.status.conditions if c.type == "Ready"), None)


def is_ready(node: core.Node) -> bool:
    condition = ready_condition(node)
    return condition is not None and condition.status == "True"


def _grace_s(node: core.Node) -> float:
    return STARTUP_GRACE_S if ready_condition(node) is None else GRACE_S


def _health(observed: Observed) -> Health:
    condition = ready_condition(observed.node)
    if observed.silent_s > _grace_s(observed.node):
        return Health.SILENT
    if condition is None:
        return Health.NEW
    if condition.status == "True":
        return Health.READY
    return Health.SILENT if condition.status == "Unknown" else Health.NOT_READY


def _silenced(node: core.Node, now: datetime) -> core.NodeStatus | None:
    """The status with every condition that the agent reports Unknown; None if that is how it is."""
    status = core.NodeStatus()
    status.CopyFrom(node.status)
    kinds = {condition.type: condition for condition in status.conditions}
    at = times.from_datetime(now)
    changed = False
    for kind in ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure"):
        condition = kinds.get(kind)
        if condition is None:
            condition = status.conditions.add(type=kind, reason="NodeStatusNeverUpdated")
            condition.message = "the node agent never reported this"
        elif condition.status == "Unknown":
            continue
        else:
            condition.reason, condition.message = "NodeStatusUnknown", "the node agent has stopped reporting"
        condition.status = "Unknown"
        condition.last_transition_time.CopyFrom(at)
        changed = True
    return status if changed else None


def _taints(observed: Observed, health: Health, now: datetime) -> tuple[core.Taint, ...]:
    """The present taints without those of ours that no longer hold, and with those that do."""
    wanted = _wanted(observed, health)
    present = observed.node.spec.taints
    kept = [taint for taint in present if (taint.key, taint.effect) not in OWNED or (taint.key, taint.effect) in wanted]
    there = {(taint.key, taint.effect) for taint in kept}
    at = times.from_datetime(now)
    added = [core.Taint(key=k, effect=e, time_added=at) for k, e in sorted(wanted - there)]
    return (*kept, *added)


def _wanted(observed: Observed, health: Health) -> set[tuple[str, str]]:
    node = observed.node
    wanted = {
        (CONDITION_TAINTS[condition.type], NO_SCHEDULE)
        for condition in node.status.conditions
        if condition.type in CONDITION_TAINTS and condition.status == "True"
    }
    if node.spec.unschedulable:
        wanted.add((UNSCHEDULABLE, NO_SCHEDULE))
    if health is Health.NEW:
        return wanted | {(t.key, t.effect) for t in node.spec.taints if t.key == NOT_READY}
    key = {Health.NOT_READY: NOT_READY, Health.SILENT: UNREACHABLE}.get(health)
    if key is not None:
        wanted.add((key, NO_SCHEDULE))
        if observed.others_heard:
            wanted.add((key, NO_EXECUTE))
    return wanted


def _same(taints: tuple[core.Taint, ...], present: object) -> bool:
    return list(taints) == list(present)  # type: ignore[call-overload, no-any-return]


def unready_pod(pod: core.Pod, now: datetime) -> core.PodStatus | None:
    """The status of a pod that cannot be known to be ready; None if it does not say that it is."""
    if not any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions):
        return None
    status = core.PodStatus()
    status.CopyFrom(pod.status)
    for condition in status.conditions:
        if condition.type == "Ready":
            condition.status, condition.reason = "False", "NodeNotReady"
            condition.message = "the node has stopped reporting"
            condition.last_transition_time.CopyFrom(times.from_datetime(now))
    return status
