"""Decide what the Endpoints object of a service says: for readers of the older API; slices are what proxies read.

Pods with the same ports share a subset, ready ones apart from others; pods that are being deleted are left out. At most
ADDRESSES_MAX addresses, and an annotation if some were left out. Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from raftsman import metadata
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from .service_pods import HEADLESS_LABEL, Backend, Port, backends, families, is_headless

ADDRESSES_MAX = 1000
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MANAGED_LABEL = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"


@dataclass(frozen=True, slots=True)
class Observed:
    service: core.Service | None
    pods: tuple[core.Pod, ...]
    endpoints: core.Endpoints | None


@dataclass(frozen=True, slots=True)
class Plan:
    create: core.Endpoints | None = None
    update: core.Endpoints | None = None
    delete: bool = False


def decide(observed: Observed) -> Plan:
    service, found = observed.service, observed.endpoints
    if service is None:
        ours = found is not None and found.metadata.labels.get(MANAGED_LABEL) == MANAGER
        return Plan(delete=ours)
    if not service.spec.selector or service.spec.type == "ExternalName" or metadata.is_deleting(service):
        return Plan()
    wanted = _wanted(service, observed.pods)
    if found is None:
        return Plan(create=wanted)
    kept = {name: value for name, value in found.metadata.annotations.items() if name != OVER_CAPACITY}
    metadata_now = meta.ObjectMeta()
    metadata_now.CopyFrom(found.metadata)
    metadata_now.labels.clear()
    metadata_now.labels.update(wanted.metadata.labels)
    metadata_now.annotations.clear()
    metadata_now.annotations.update({**kept, **wanted.metadata.annotations})
    wanted.metadata.CopyFrom(metadata_now)
    return Plan(update=wanted) if wanted != found else Plan()


def _wanted(service: core.Service, pods: tuple[core.Pod, ...]) -> core.Endpoints:
    made = core.Endpoints(
        metadata=meta.ObjectMeta(name=service.metadata.name, namespace=service.metadata.namespace),
    )
    made.metadata.labels.update(service.metadata.labels)
    if is_headless(service):
        made.metadata.labels[HEADLESS_LABEL] = ""
    made.metadata.labels[MANAGED_LABEL] = MANAGER
    usable = [
        backend
        for backend in backends(service, pods, family=families(service)[0])
        if (not backend.terminating or service.spec.publish_not_ready_addresses)
        and (backend.ports or not service.spec.ports)
    ]
    if len(usable) > ADDRESSES_MAX:
        made.metadata.annotations[OVER_CAPACITY] = "truncated"
        usable = sorted(usable, key=lambda backend: not backend.ready)[:ADDRESSES_MAX]
    groups: dict[tuple[Port, ...], list[Backend]] = {}
    for backend in usable:
        groups.setdefault(tuple(sorted(backend.ports)), []).append(backend)
    for ports in sorted(groups):
        made.subsets.append(_subset(ports, groups[ports]))
    return made


def _subset(ports: tuple[Port, ...], members: list[Backend]) -> core.EndpointSubset:
    subset = core.EndpointSubset()
    for backend in sorted(members, key=lambda backend: backend.address):
        (subset.addresses if backend.ready else subset.not_ready_addresses).append(_address(backend))
    for port in ports:
        entry = subset.ports.add(port=port.number, protocol=port.protocol)
        if port.name:
            entry.name = port.name
        if port.app_protocol:
            entry.app_protocol = port.app_protocol
    return subset


def _address(backend: Backend) -> core.EndpointAddress:
    made = core.EndpointAddress(ip=backend.address, target_ref=backend.reference)
    if backend.pod.spec.node_name:
        made.node_name = backend.pod.spec.node_name
    if backend.hostname:
        made.hostname = backend.hostname
    return made
