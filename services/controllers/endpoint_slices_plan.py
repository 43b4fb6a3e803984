"""Decide which endpoint slices a service needs, changing as few as possible.

    2 pods, no slice                      → create one slice of 2
    a pod became unready                  → update the slice that holds it
    101 pods                              → slices of 100 and 1
    two pods that call `http` 80 and 81   → a slice for each port
    no pod                                → one slice without endpoints
    nothing changed                       → nothing

Endpoints stay in the slice that they are in; new ones fill slices that are written anyway, then those with room, then
new slices. Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from raftsman import metadata
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery
from raftsman.meta import v1 as meta

from .service_pods import HEADLESS_LABEL, Backend, Port, backends, families, is_headless

ENDPOINTS_MAX = 100
SERVICE_LABEL = "kubernetes.io/service-name"
MANAGED_LABEL = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"

Ports = tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class Observed:
    service: core.Service
    pods: tuple[core.Pod, ...]
    slices: tuple[discovery.EndpointSlice, ...]
    """Those of this service that are managed here."""


@dataclass(slots=True)
class Plan:
    create: list[discovery.EndpointSlice] = field(default_factory=list)
    update: list[discovery.EndpointSlice] = field(default_factory=list)
    delete: list[discovery.EndpointSlice] = field(default_factory=list)


def decide(observed: Observed) -> Plan:
    plan = Plan()
    if metadata.is_deleting(observed.service):
        return plan
    wanted_types = {}
    if observed.service.spec.selector and observed.service.spec.type != "ExternalName":
        wanted_types = {f"IPv{family}": family for family in families(observed.service)}
    plan.delete += [s for s in observed.slices if s.address_type not in wanted_types]
    for address_type, family in wanted_types.items():
        slices = sorted((s for s in observed.slices if s.address_type == address_type), key=lambda s: s.metadata.name)
        _decide_family(observed, address_type, family, slices, plan)
    return plan


def _decide_family(
    observed: Observed, address_type: str, family: int, slices: list[discovery.EndpointSlice], plan: Plan
) -> None:
    groups: dict[Ports, dict[str, discovery.Endpoint]] = {}
    for backend in backends(observed.service, observed.pods, family=family):
        groups.setdefault(backend.ports, {})[backend.pod.metadata.uid] = endpoint_of(backend)
    if not groups:
        groups[()] = {}
        slices = _keep_one(slices, plan)
    empty = not any(groups.values())
    by_ports: dict[Ports, list[discovery.EndpointSlice]] = {}
    for found in slices:
        by_ports.setdefault(() if empty else _ports_of(found), []).append(found)
    for ports, present in by_ports.items():
        if ports not in groups:
            plan.delete += present
    for ports, endpoints in groups.items():
        for old, members in _place(endpoints, by_ports.get(ports, []), at_least_one=empty):
            if old is not None and not members and not empty:
                plan.delete.append(old)
            else:
                _write(observed.service, address_type, ports, old, members, plan)


def _keep_one(slices: list[discovery.EndpointSlice], plan: Plan) -> list[discovery.EndpointSlice]:
    plan.delete += slices[1:]
    return slices[:1]


Placed = list[tuple["discovery.EndpointSlice | None", "list[discovery.Endpoint]"]]


def _place(
    endpoints: dict[str, discovery.Endpoint], slices: Iterable[discovery.EndpointSlice], *, at_least_one: bool
) -> Placed:
    """Endpoints to slices; a slice that is left without any is given an empty list, None stands for a new slice."""
    left = dict(endpoints)
    placed: Placed = []
    for old in slices:
        placed.append((old, [left.pop(e.target_ref.uid) for e in old.endpoints if e.target_ref.uid in left]))
    new = deque(left.values())
    by_change = sorted(placed, key=lambda entry: entry[0] is not None and list(entry[0].endpoints) == entry[1])
    for _, members in by_change:
        while new and len(members) < ENDPOINTS_MAX:
            members.append(new.popleft())
    while new:
        placed.append((None, [new.popleft() for _ in range(min(len(new), ENDPOINTS_MAX))]))
    if at_least_one and not placed:
        placed.append((None, []))
    return placed


def _write(
    service: core.Service, address_type: str, ports: Ports, old: discovery.EndpointSlice | None,
    members: list[discovery.Endpoint], plan: Plan,
) -> None:  # fmt: skip
    wanted = slice_of(service, address_type, ports, members, old)
    if old is None:
        plan.create.append(wanted)
    elif wanted != old:
        plan.update.append(wanted)


def slice_of(
    service: core.Service, address_type: str, ports: Ports, endpoints: Iterable[discovery.Endpoint],
    old: discovery.EndpointSlice | None,
) -> discovery.EndpointSlice:  # fmt: skip
    made = discovery.EndpointSlice(address_type=address_type, endpoints=endpoints)
    if old is not None:
        made.metadata.CopyFrom(old.metadata)
        made.metadata.labels.clear()
        del made.metadata.owner_references[:]
    else:
        made.metadata.generate_name = f"{service.metadata.name}-"
        made.metadata.namespace = service.metadata.namespace
    made.metadata.labels.update(service.metadata.labels)
    if is_headless(service):
        made.metadata.labels[HEADLESS_LABEL] = ""
    made.metadata.labels[SERVICE_LABEL] = service.metadata.name
    made.metadata.labels[MANAGED_LABEL] = MANAGER
    made.metadata.owner_references.append(_owner(service))
    for port in ports:
        entry = made.ports.add(name=port.name, protocol=port.protocol, port=port.number)
        if port.app_protocol:
            entry.app_protocol = port.app_protocol
    return made


def _owner(service: core.Service) -> meta.OwnerReference:
    return metadata.owner_reference(service)


def endpoint_of(backend: Backend) -> discovery.Endpoint:
    made = discovery.Endpoint(
        addresses=[backend.address],
        conditions=discovery.EndpointConditions(
            ready=backend.ready, serving=backend.serving, terminating=backend.terminating
        ),
        target_ref=backend.reference,
    )
    if backend.pod.spec.node_name:
        made.node_name = backend.pod.spec.node_name
    if backend.hostname:
        made.hostname = backend.hostname
    return made


def _ports_of(found: discovery.EndpointSlice) -> Ports:
    return tuple(Port(p.name, p.protocol or "TCP", p.port, p.app_protocol) for p in found.ports)
