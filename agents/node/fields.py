"""The downward API: a pod's own fields and resources as text. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from raftsman import quantity
from raftsman.core import v1 as core

_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a pod's own object does not (yet) say."""

    host_ip: str = ""
    pod_ips: tuple[str, ...] = ()
    cpu_milli: int = 0
    """The node's allocatable CPU: the limit of a container that has none."""
    memory_bytes: int = 0
    storage_bytes: int = 0


def of_pod(pod: core.Pod, path: str, facts: Facts) -> str:
    """The value of a fieldRef; ValueError for a path that is not one of them."""
    keyed = _KEYED.fullmatch(path)
    if keyed:
        values = pod.metadata.labels if keyed[1] == "labels" else pod.metadata.annotations
        return str(values.get(keyed[2], ""))
    plain = {
        "metadata.name": lambda: pod.metadata.name,
        "metadata.namespace": lambda: pod.metadata.namespace,
        "metadata.uid": lambda: pod.metadata.uid,
        "metadata.labels": lambda: lines(pod.metadata.labels),
        "metadata.annotations": lambda: lines(pod.metadata.annotations),
        "spec.nodeName": lambda: pod.spec.node_name,
        "spec.serviceAccountName": lambda: pod.spec.service_account_name,
        "status.hostIP": lambda: facts.host_ip,
        "status.hostIPs": lambda: facts.host_ip,
        "status.podIP": lambda: facts.pod_ips[0] if facts.pod_ips else "",
        "status.podIPs": lambda: ",".join(facts.pod_ips),
    }.get(path)
    if plain is None:
        raise ValueError(f"fieldPath {path!r} is not supported")
    return str(plain())


def lines(values: Mapping[str, str]) -> str:
    """`key="value"` a line, as downward API files have it."""
    return "\n".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sorted(values.items()))


def of_resources(pod: core.Pod, container: core.Container, ref: core.ResourceFieldSelector, facts: Facts) -> str:
    """The value of a resourceFieldRef, divided and rounded up; ValueError names a wrong path or container."""
    if ref.container_name:
        everyone = [*pod.spec.containers, *pod.spec.init_containers]
        found = next((c for c in everyone if c.name == ref.container_name), None)
        if found is None:
            raise ValueError(f"resourceFieldRef names container {ref.container_name!r}, which the pod does not have")
        container = found
    which, _, name = ref.resource.partition(".")
    if which not in ("limits", "requests") or not name:
        raise ValueError(f"resource {ref.resource!r} is not supported")
    milli = _amount_milli(container, which, name, facts)
    divisor = quantity.to_milli(ref.divisor.string) if ref.divisor.string else 0
    return str(-(-milli // (divisor or 1000)))


def _amount_milli(container: core.Container, which: str, name: str, facts: Facts) -> int:
    amounts = container.resources.limits if which == "limits" else container.resources.requests
    if name in amounts:
        return quantity.to_milli(amounts[name].string)
    if which == "requests":
        return 0
    whole = {
        "cpu": facts.cpu_milli,
        "memory": facts.memory_bytes * 1000,
        "ephemeral-storage": facts.storage_bytes * 1000,
    }
    return whole.get(name, 0)
