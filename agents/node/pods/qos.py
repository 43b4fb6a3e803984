"""Quality of service: a pod's class, its cgroup's limits, its containers' limits and OOM scores.

Rules as Kubernetes has them: requests become CPU shares, limits become quota and memory limit; the pod's cgroup gets
the sums. Limits that any container leaves open leave the pod's open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from raftsman import quantity
from raftsman.agents.node.runtime import Qos, Resources
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

SHARES_PER_CPU = 1024
SHARES_LEAST = 2
SHARES_MOST = 262_144
PERIOD_US = 100_000
QUOTA_LEAST_US = 1000
OOM_GUARANTEED = -997
OOM_BEST_EFFORT = 1000
OOM_CRITICAL_PRIORITY = 2_000_000_000
COMPUTE = ("cpu", "memory")


def class_of(pod: core.Pod) -> str:
    """Guaranteed, Burstable or BestEffort."""
    containers = [*pod.spec.init_containers, *pod.spec.containers]
    if not any(_has(c.resources.requests) or _has(c.resources.limits) for c in containers):
        return "BestEffort"
    return "Guaranteed" if all(_guaranteed(c) for c in containers) else "Burstable"


def branch_of(pod: core.Pod) -> Qos:
    return Qos((pod.status.qos_class or class_of(pod)).lower())


def _has(amounts: Mapping[str, meta.Quantity]) -> bool:
    return any(name in amounts and quantity.to_milli(amounts[name].string) > 0 for name in COMPUTE)


def _guaranteed(container: core.Container) -> bool:
    limits, requests = container.resources.limits, container.resources.requests
    for name in COMPUTE:
        if name not in limits:
            return False
        if name in requests and quantity.parse(requests[name].string) != quantity.parse(limits[name].string):
            return False
    return True


def request_milli(container: core.Container, name: str) -> int:
    """What a container asks for, its limit standing in for a missing request; in thousandths."""
    for amounts in (container.resources.requests, container.resources.limits):
        if name in amounts:
            return quantity.to_milli(amounts[name].string)
    return 0


def limit_milli(container: core.Container, name: str) -> int | None:
    limits = container.resources.limits
    return quantity.to_milli(limits[name].string) if name in limits else None


def pod_request_milli(pod: core.Pod, name: str) -> int:
    """What the whole pod asks for, in thousandths."""
    return _pod_milli(pod, [request_milli(c, name) for c in pod.spec.containers], name)


def pod_resources(pod: core.Pod) -> Resources:
    """For the pod's cgroup."""
    shares = _shares(_pod_milli(pod, [request_milli(c, "cpu") for c in pod.spec.containers], "cpu"))
    cpu = _summed_limit(pod, "cpu")
    memory = _summed_limit(pod, "memory")
    return Resources(
        cpu_shares=shares,
        cpu_quota_us=_quota(cpu) if cpu else None,
        cpu_period_us=PERIOD_US,
        memory_limit=memory // 1000 if memory else None,
    )


def _pod_milli(pod: core.Pod, mains: Iterable[int], name: str) -> int:
    sidecars = sum(request_milli(c, name) for c in pod.spec.init_containers if c.restart_policy == "Always")
    inits = [request_milli(c, name) for c in pod.spec.init_containers if c.restart_policy != "Always"]
    return max(sum(mains) + sidecars, max(inits, default=0) + sidecars)


def _summed_limit(pod: core.Pod, name: str) -> int | None:
    together = [*pod.spec.containers, *(c for c in pod.spec.init_containers if c.restart_policy == "Always")]
    limits = [limit_milli(c, name) for c in together]
    if any(limit is None or limit == 0 for limit in limits):
        return None
    inits = [limit_milli(c, name) or 0 for c in pod.spec.init_containers if c.restart_policy != "Always"]
    return max(sum(limit or 0 for limit in limits), max(inits, default=0))


def container_resources(pod: core.Pod, container: core.Container, *, memory_capacity: int) -> Resources:
    """For one container's cgroup, with its OOM score. `memory_capacity` is the node's, in bytes."""
    cpu, memory = limit_milli(container, "cpu"), limit_milli(container, "memory")
    return Resources(
        cpu_shares=_shares(request_milli(container, "cpu")),
        cpu_quota_us=_quota(cpu) if cpu else None,
        cpu_period_us=PERIOD_US,
        memory_limit=memory // 1000 if memory else None,
        oom_score_adj=oom_score(pod, container, memory_capacity=memory_capacity),
    )


def oom_score(pod: core.Pod, container: core.Container, *, memory_capacity: int) -> int:
    """oom_score_adj: the less of its request a burstable container would leave unused, the longer it lives."""
    if pod.spec.priority >= OOM_CRITICAL_PRIORITY:
        return OOM_GUARANTEED
    pod_class = pod.status.qos_class or class_of(pod)
    if pod_class == "Guaranteed":
        return OOM_GUARANTEED
    if pod_class == "BestEffort" or memory_capacity <= 0:
        return OOM_BEST_EFFORT
    request = request_milli(container, "memory") // 1000
    score = 1000 - (1000 * request) // memory_capacity
    return max(1000 + OOM_GUARANTEED, min(score, OOM_BEST_EFFORT - 1))


def _shares(milli: int) -> int:
    return min(SHARES_MOST, max(SHARES_LEAST, milli * SHARES_PER_CPU // 1000))


def _quota(milli: int) -> int:
    return max(QUOTA_LEAST_US, milli * PERIOD_US // 1000)
