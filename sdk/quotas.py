"""What objects count against a resource quota: the API server charges with it, the quota controller recounts. Pure.

Pod       pods, count/pods, cpu, memory, requests.*, limits.*, ephemeral-storage, hugepages-*, extended resources
Service   services, count/services, services.nodeports, services.loadbalancers
Claim     persistentvolumeclaims, requests.storage, CLASS.storageclass.storage.k8s.io/…
others    count/RESOURCE.GROUP, and the old names configmaps, secrets, replicationcontrollers, resourcequotas
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from raftsman import podresources, quantity
from raftsman.core import v1 as core
from raftsman.podresources import Amounts
from raftsman.quantity import Quantity

ONE = quantity.from_int(1)
PODS, SERVICES, CLAIMS = "pods", "services", "persistentvolumeclaims"
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_MUST_BE_STATED = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})
_OLD_NAMES = frozenset({"configmaps", "secrets", "replicationcontrollers", "resourcequotas", *(PODS, SERVICES, CLAIMS)})
_CLASS = ".storageclass.storage.k8s.io/"
_TERMINAL = ("Succeeded", "Failed")


# Of one object


def usage(qualified: str, obj: Any, *, now: float | None = None) -> Amounts:
    """What an object of the resource `qualified` (deployments.apps) counts. quantity.QuantityError."""
    found = {f"count/{qualified}": ONE}
    if qualified == PODS:
        if counts(obj, now=time.time() if now is None else now):
            found |= _pod(obj.spec)
    elif qualified == SERVICES:
        found |= _service(obj.spec)
    elif qualified == CLAIMS:
        found |= _claim(obj)
    elif qualified in _OLD_NAMES:
        found[qualified] = ONE
    return found


def counts(pod: core.Pod, *, now: float) -> bool:
    """Whether a pod still uses anything: it has not ended, and is not overdue."""
    if pod.status.phase in _TERMINAL:
        return False
    metadata = pod.metadata
    overdue = metadata.HasField("deletion_timestamp") and metadata.HasField("deletion_grace_period_seconds")
    return not overdue or now <= metadata.deletion_timestamp.seconds + metadata.deletion_grace_period_seconds


def _pod(spec: core.PodSpec) -> Amounts:
    found = {PODS: ONE}
    found.update(_computed(podresources.requests(spec), podresources.limits(spec)))
    return found


def _computed(requests: Amounts, limits: Amounts) -> Iterator[tuple[str, Quantity]]:
    for name, amount in requests.items():
        if name in _COMPUTE or name.startswith("hugepages-"):
            yield name, amount
        if name in _COMPUTE or name.startswith("hugepages-") or "/" in name:
            yield f"requests.{name}", amount
    for name, amount in limits.items():
        if name in _COMPUTE:
            yield f"limits.{name}", amount


def _service(spec: core.ServiceSpec) -> Amounts:
    found = {SERVICES: ONE}
    ports = len(spec.ports)
    if spec.type == "NodePort":
        found["services.nodeports"] = quantity.from_int(ports)
    elif spec.type == "LoadBalancer":
        found["services.loadbalancers"] = ONE
        unwanted = spec.HasField("allocate_load_balancer_node_ports") and not spec.allocate_load_balancer_node_ports
        given = sum(1 for port in spec.ports if port.node_port) if unwanted else ports
        found["services.nodeports"] = quantity.from_int(given)
    return found


def _claim(claim: core.PersistentVolumeClaim) -> Amounts:
    name = claim.metadata.annotations.get("volume.beta.kubernetes.io/storage-class", claim.spec.storage_class_name)
    prefixes = ("", f"{name}{_CLASS}") if name else ("",)
    found: Amounts = {f"{prefix}{CLAIMS}": ONE for prefix in prefixes}
    requests = podresources.amounts(claim.spec.resources.requests)
    if "storage" in requests:
        found.update((f"{prefix}requests.storage", requests["storage"]) for prefix in prefixes)
    return found


# Which quota is meant


def concerns(qualified: str, name: str) -> bool:
    """Whether a bound of that name is about the resource."""
    if name == f"count/{qualified}":
        return True
    if qualified == PODS:
        resource = name.removeprefix("requests.").removeprefix("limits.")
        extended = name.startswith("requests.") and "/" in resource and _CLASS not in name
        return name == PODS or resource in _COMPUTE or resource.startswith("hugepages-") or extended
    if qualified == SERVICES:
        return name in (SERVICES, "services.nodeports", "services.loadbalancers")
    if qualified == CLAIMS:
        return name in (CLAIMS, "requests.storage") or _CLASS in name
    return name == qualified and qualified in _OLD_NAMES


def counted_by(names: Iterable[str]) -> frozenset[str]:
    """The qualified resources that bounds of these names are about."""
    found: set[str] = set()
    for name in names:
        if name.startswith("count/"):
            found.add(name.removeprefix("count/"))
        else:
            found.update(one for one in _OLD_NAMES if concerns(one, name))
    return frozenset(found)


def matches(quota: core.ResourceQuota, qualified: str, obj: Any) -> bool:
    """Whether the object counts against the quota at all: by its scopes."""
    terms: list[tuple[str, str, tuple[str, ...]]] = [(scope, "Exists", ()) for scope in quota.spec.scopes]
    terms += [(one.scope_name, one.operator, tuple(one.values)) for one in quota.spec.scope_selector.match_expressions]
    if qualified != PODS:
        return not terms
    return all(_in_scope(obj, *term) for term in terms)


def _in_scope(pod: core.Pod, scope: str, operator: str, values: tuple[str, ...]) -> bool:
    spec = pod.spec
    if scope == "Terminating":
        return spec.HasField("active_deadline_seconds") and spec.active_deadline_seconds >= 0
    if scope == "NotTerminating":
        return not spec.HasField("active_deadline_seconds")
    if scope == "BestEffort":
        return _best_effort(spec)
    if scope == "NotBestEffort":
        return not _best_effort(spec)
    if scope == "CrossNamespacePodAffinity":
        return _crosses_namespaces(spec.affinity)
    return scope == "PriorityClass" and _selected(spec.priority_class_name, operator, values)


def _selected(name: str, operator: str, values: tuple[str, ...]) -> bool:
    if operator in ("In", "NotIn"):
        return (name in values) is (operator == "In")
    return bool(name) is (operator == "Exists")


def _best_effort(spec: core.PodSpec) -> bool:
    stated = [spec.resources, *(one.resources for one in (*spec.containers, *spec.init_containers))]
    return not any(
        name in found and quantity.parse(found[name].string)
        for one in stated
        for found in (one.requests, one.limits)
        for name in ("cpu", "memory")
    )


def _crosses_namespaces(affinity: core.Affinity) -> bool:
    for one in (affinity.pod_affinity, affinity.pod_anti_affinity):
        terms = [*one.required_during_scheduling_ignored_during_execution]
        terms += [t.pod_affinity_term for t in one.preferred_during_scheduling_ignored_during_execution]
        if any(term.namespaces or term.HasField("namespace_selector") for term in terms):
            return True
    return False


def unstated(names: Iterable[str], pod: core.Pod) -> str:
    """What every container has to state for a quota with these bounds, and does not: "cpu for: a,b; memory for: b"."""
    required = _MUST_BE_STATED.intersection(names)
    if not required or pod.spec.HasField("resources"):
        return ""
    missing: dict[str, list[str]] = {}
    for container in (*pod.spec.containers, *pod.spec.init_containers):
        resources = container.resources
        amounts = podresources.amounts(resources.requests), podresources.amounts(resources.limits)
        for name in required.difference(name for name, _ in _computed(*amounts)):
            missing.setdefault(name, []).append(container.name)
    return "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))


# Amounts


def total(quota: core.ResourceQuota, found: Mapping[str, Iterable[Any]], *, now: float) -> Amounts:
    """What objects, by qualified resource, count against a quota: an amount for each of its bounds that they know."""
    used: Amounts = {
        name: quantity.ZERO for name in quota.spec.hard if any(concerns(qualified, name) for qualified in found)
    }
    for qualified, objects in found.items():
        for obj in objects:
            if matches(quota, qualified, obj):
                for name, amount in usage(qualified, obj, now=now).items():
                    if name in used:
                        used[name] += amount
    return used


def shown(amounts: Amounts) -> str:
    """As errors name them: cpu=1,memory=2Gi."""
    return ",".join(f"{name}={amounts[name]}" for name in sorted(amounts))
