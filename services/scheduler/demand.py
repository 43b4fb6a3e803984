"""What a pod asks of a node, taken from its spec once. Pure.

Resources count as Kubernetes counts them: what runs together is added up, init containers that run one after another
count with the largest, sidecars (init containers that are restarted always) with all that run beside and after them,
and the pod's overhead comes on top. CPU is in millicores, everything else in its own unit (bytes, pieces).
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from raftsman import quantity
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from . import affinity, neighbours

CPU, MEMORY, STORAGE, PODS = "cpu", "memory", "ephemeral-storage", "pods"
UNSTATED_CPU_MILLI = 100
UNSTATED_MEMORY_BYTES = 200 << 20
"""A pod that asks for nothing uses something: this much counts when nodes are scored, never when they are filtered."""


class Taint(NamedTuple):
    key: str
    value: str
    effect: str


class Toleration(NamedTuple):
    """An empty key (with Exists) tolerates every key, an empty effect every effect."""

    key: str
    operator: str
    value: str
    effect: str

    def tolerates(self, taint: Taint) -> bool:
        if self.effect and self.effect != taint.effect:
            return False
        if self.key and self.key != taint.key:
            return False
        return self.operator == "Exists" or (bool(self.key) and self.value == taint.value)


class HostPort(NamedTuple):
    """A port of the node itself. An empty address is every address."""

    protocol: str
    address: str
    port: int

    def clashes(self, other: HostPort) -> bool:
        anywhere = "" in (self.address, other.address) or self.address == other.address
        return anywhere and self.port == other.port and self.protocol == other.protocol


@dataclass(frozen=True, slots=True)
class Demand:
    """Two pods with equal demands fit the same nodes."""

    resources: tuple[tuple[str, int], ...] = ()
    """What is asked for, by the resource's name; what is not asked for is missing."""
    scored_cpu_milli: int = UNSTATED_CPU_MILLI
    scored_memory_bytes: int = UNSTATED_MEMORY_BYTES
    node_selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    host_ports: tuple[HostPort, ...] = ()
    node_terms: tuple[affinity.Term, ...] | None = None
    """One of them must match; None if any node will do."""
    node_preferences: tuple[affinity.Preference, ...] = ()
    who: neighbours.Who = neighbours.NOBODY
    wishes: neighbours.Wishes = neighbours.NONE

    def tolerates(self, taint: Taint) -> bool:
        return any(toleration.tolerates(taint) for toleration in self.tolerations)

    def endures(self, taints: Iterable[Taint]) -> bool:
        """Whether none of them keeps the pod away."""
        return not any(t.effect in ("NoSchedule", "NoExecute") and not self.tolerates(t) for t in taints)

    def selects(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a node has all labels of the nodeSelector, and matches a term of the node affinity."""
        if any(labels.get(key) != value for key, value in self.node_selector):
            return False
        return self.node_terms is None or any(term.matches(name, labels) for term in self.node_terms)


def demand_of(pod: core.Pod) -> Demand:
    spec = pod.spec
    resources = _resources(spec, pod.status)
    return Demand(
        tuple(sorted((name, amount) for name, amount in resources.items() if amount)),
        resources[CPU] or UNSTATED_CPU_MILLI,
        resources[MEMORY] or UNSTATED_MEMORY_BYTES,
        tuple(sorted(spec.node_selector.items())),
        tuple(Toleration(t.key, t.operator or "Equal", t.value, t.effect) for t in spec.tolerations),
        tuple(_host_ports(spec)),
        affinity.required(spec.affinity),
        affinity.preferred(spec.affinity),
        neighbours.who_of(pod),
        neighbours.wishes_of(pod),
    )


def _resources(spec: core.PodSpec, status: core.PodStatus) -> Counter[str]:
    """While a resize is under way, the more of what is wanted and what is held counts."""
    held = {one.name: one.allocated_resources for one in status.container_statuses}
    together: Counter[str] = Counter()
    for container in spec.containers:
        together.update(Counter(amounts(container.resources.requests)) | Counter(amounts(held.get(container.name, {}))))
    sidecars: Counter[str] = Counter()
    peak: Counter[str] = Counter()
    for container in spec.init_containers:
        asked = Counter(amounts(container.resources.requests))
        if container.restart_policy == "Always":
            sidecars.update(asked)
            together.update(asked)
            peak |= sidecars
        else:
            peak |= asked + sidecars
    total = together | peak
    total.update(amounts(spec.overhead))
    return total


def amounts(quantities: Mapping[str, meta.Quantity]) -> dict[str, int]:
    """Numbers of a resource list: millicores of CPU, units of everything else, rounded up."""
    return {name: _amount(name == CPU, quantities[name].string) for name in quantities}


@functools.lru_cache(maxsize=4096)
def _amount(cpu: bool, text: str) -> int:
    return quantity.to_milli(text) if cpu else quantity.to_int(text)


def _host_ports(spec: core.PodSpec) -> Iterable[HostPort]:
    for container in spec.containers:
        for port in container.ports:
            number = port.host_port or (port.container_port if spec.host_network else 0)
            if number:
                address = "" if port.host_ip in ("0.0.0.0", "::") else port.host_ip
                yield HostPort(port.protocol or "TCP", address, number)
