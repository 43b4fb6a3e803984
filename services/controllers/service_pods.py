"""Which pods stand behind a service, on which ports, and whether they can be used. Shared by the two that publish it.

Pure, apart from the watches and their indexes, which find the services of a pod and the pods of a service without
looking at all of them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from raftsman.controller import Key, Watch
from raftsman.core import v1 as core
from raftsman.informer import Cache
from raftsman.metadata import key_of

SERVICES_BY_SELECTOR = "selector"
PODS_BY_LABEL = "label"
HEADLESS_LABEL = "service.kubernetes.io/headless"


def label_index(pod: core.Pod) -> Iterable[str]:
    """For PODS_BY_LABEL: one entry a label."""
    return [f"{pod.metadata.namespace}/{name}={value}" for name, value in pod.metadata.labels.items()]


def selector_index(service: core.Service) -> str | None:
    """For SERVICES_BY_SELECTOR: the first pair of the selector, which every selected pod has."""
    if not service.spec.selector:
        return None
    name, value = min(service.spec.selector.items())
    return f"{service.metadata.namespace}/{name}={value}"


def watches(services: Callable[[core.Pod], Iterable[Key]]) -> tuple[Watch, Watch]:
    """What a controller follows that publishes services' pods; `services` gives the services of a pod."""
    return (
        Watch(core.Service, indexers={SERVICES_BY_SELECTOR: selector_index}),
        Watch(core.Pod, key=services, changed=_pod_matters, indexers={PODS_BY_LABEL: label_index}),
    )


def _pod_matters(old: core.Pod, new: core.Pod) -> bool:
    """Whether an update of a pod can change an endpoint."""
    return _facts(old) != _facts(new)


def _facts(pod: core.Pod) -> tuple[object, ...]:
    ready = any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions)
    addresses = (pod.status.pod_ip, *(entry.ip for entry in pod.status.pod_ips))
    deleting = pod.metadata.HasField("deletion_timestamp")
    return (
        key_of(pod), pod.metadata.uid, dict(pod.metadata.labels), addresses, pod.status.phase, ready, deleting,
        pod.spec.node_name, pod.spec.hostname, pod.spec.subdomain,
    )  # fmt: skip


def services_of(pod: core.Pod, services: Cache[core.Service]) -> list[Key]:
    """The services that select a pod."""
    return [
        key_of(service)
        for entry in label_index(pod)
        for service in services.by_index(SERVICES_BY_SELECTOR, entry)
        if selects(service.spec.selector, pod)
    ]


def pods_of(service: core.Service, pods: Cache[core.Pod]) -> tuple[core.Pod, ...]:
    """The pods that a service selects; none without a selector."""
    entry = selector_index(service)
    if entry is None:
        return ()
    return tuple(pod for pod in pods.by_index(PODS_BY_LABEL, entry) if selects(service.spec.selector, pod))


def selects(selector: Mapping[str, str], pod: core.Pod) -> bool:
    labels = pod.metadata.labels
    return bool(selector) and all(labels.get(name) == value for name, value in selector.items())


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """A port of a service as one pod serves it."""

    name: str
    protocol: str
    number: int
    app_protocol: str


@dataclass(frozen=True, slots=True)
class Backend:
    """A pod that a service may send to."""

    pod: core.Pod
    address: str
    ports: tuple[Port, ...]
    ready: bool
    serving: bool
    terminating: bool
    hostname: str

    @property
    def reference(self) -> core.ObjectReference:
        metadata = self.pod.metadata
        return core.ObjectReference(kind="Pod", namespace=metadata.namespace, name=metadata.name, uid=metadata.uid)


def backends(service: core.Service, pods: Iterable[core.Pod], *, family: int = 4) -> list[Backend]:
    """Pods with an address of the family that have not ended, in the order of their names."""
    found = []
    for pod in sorted(pods, key=lambda pod: pod.metadata.name):
        address = _address(pod, family)
        if address is None or pod.status.phase in ("Succeeded", "Failed"):
            continue
        serving = any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions)
        terminating = pod.metadata.HasField("deletion_timestamp")
        found.append(
            Backend(
                pod=pod,
                address=address,
                ports=_ports(service, pod),
                ready=service.spec.publish_not_ready_addresses or (serving and not terminating),
                serving=serving,
                terminating=terminating,
                hostname=pod.spec.hostname if pod.spec.subdomain == service.metadata.name else "",
            )
        )
    return found


def _address(pod: core.Pod, family: int) -> str | None:
    candidates = [entry.ip for entry in pod.status.pod_ips] or [pod.status.pod_ip]
    return next((ip for ip in candidates if ip and ipaddress.ip_address(ip).version == family), None)


def _ports(service: core.Service, pod: core.Pod) -> tuple[Port, ...]:
    """The service's ports; one whose name the pod does not know is left out."""
    numbers = [(port, target_number(port, pod)) for port in service.spec.ports]
    return tuple(
        Port(port.name, port.protocol or "TCP", number, port.app_protocol) for port, number in numbers if number
    )


def target_number(port: core.ServicePort, pod: core.Pod) -> int:
    """The port of the pod that a service's port leads to: by number, by the name of a container's port, or the same."""
    target = port.target_port
    if target.type == 1 and target.str_val:
        protocol = port.protocol or "TCP"
        sidecars = (c for c in pod.spec.init_containers if c.restart_policy == "Always")
        for container in (*pod.spec.containers, *sidecars):
            for offered in container.ports:
                if offered.name == target.str_val and (offered.protocol or "TCP") == protocol:
                    return offered.container_port
        return 0
    return target.int_val or port.port


def families(service: core.Service) -> list[int]:
    """The address families of a service, 4 or 6."""
    named = [6 if family == "IPv6" else 4 for family in service.spec.ip_families]
    return named or [4]


def is_headless(service: core.Service) -> bool:
    return service.spec.cluster_ip == "None"
