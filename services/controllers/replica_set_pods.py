"""What a ReplicaSet wants to know of a pod: does it count, is it ready, since when, and which one goes first.

Pure. The order of deletion is Kubernetes' (a pod that costs least to lose goes first): unassigned, pending, not ready,
cheap by annotation, doubled up on its node, ready for the shortest time, restarted most, youngest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from raftsman.core import v1 as core

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}
_COST_MAX = 2**31 - 1


def is_finished(pod: core.Pod) -> bool:
    """Its containers ran to their end and will not be started again."""
    return pod.status.phase in ("Succeeded", "Failed")


def is_active(pod: core.Pod) -> bool:
    """Counts as a replica: neither finished nor on its way out."""
    return not is_finished(pod) and not pod.metadata.HasField("deletion_timestamp")


def is_terminating(pod: core.Pod) -> bool:
    return not is_finished(pod) and pod.metadata.HasField("deletion_timestamp")


def ready_condition(pod: core.Pod) -> core.PodCondition | None:
    for condition in pod.status.conditions:
        if condition.type == "Ready":
            found: core.PodCondition = condition
            return found
    return None


def is_ready(pod: core.Pod) -> bool:
    condition = ready_condition(pod)
    return condition is not None and condition.status == "True"


def available_in_s(pod: core.Pod, min_ready_s: int, *, now: datetime) -> float | None:
    """Seconds until the pod counts as available if it stays ready: 0 if it does already, None if it is not ready."""
    condition = ready_condition(pod)
    if condition is None or condition.status != "True":
        return None
    if min_ready_s <= 0:
        return 0.0
    if not condition.HasField("last_transition_time"):
        return None
    return max(0.0, condition.last_transition_time.seconds + min_ready_s - now.timestamp())


def first_to_delete(pods: Iterable[core.Pod], count: int, *, related: Sequence[core.Pod]) -> tuple[core.Pod, ...]:
    """The `count` pods to lose. `related`: active pods of the same workload, by which doubled-up nodes are known."""
    crowds = Counter(pod.spec.node_name for pod in related if pod.spec.node_name)
    return tuple(sorted(pods, key=lambda pod: _rank(pod, crowds))[:count])


def _rank(pod: core.Pod, crowds: Counter[str]) -> tuple[bool, int, bool, int, int, int, int, int, str]:
    condition = ready_condition(pod)
    ready = condition is not None and condition.status == "True"
    ready_since = condition.last_transition_time.seconds if condition is not None and ready else 0
    return (
        bool(pod.spec.node_name),
        _PHASES.get(pod.status.phase, 0),
        ready,
        _deletion_cost(pod),
        -crowds[pod.spec.node_name],
        -ready_since,
        -_restarts(pod),
        -pod.metadata.creation_timestamp.seconds,
        pod.metadata.uid,
    )


def _deletion_cost(pod: core.Pod) -> int:
    """The annotation's number; 0 where it is missing or no 32-bit number (the API refuses such a value)."""
    try:
        cost = int(pod.metadata.annotations.get(DELETION_COST, "0"))
    except ValueError:
        return 0
    return cost if abs(cost) <= _COST_MAX else 0


def _restarts(pod: core.Pod) -> int:
    return max((status.restart_count for status in pod.status.container_statuses), default=0)
