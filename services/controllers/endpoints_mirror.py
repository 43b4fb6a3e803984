"""Publish Endpoints that people wrote, for services without a selector, as endpoint slices: proxies and DNS read those.

Reads Service and Endpoints; writes EndpointSlice, named after the Endpoints and numbered, at most ENDPOINTS_MAX
endpoints each and SLICES_MAX a service. Endpoints with the label `endpointslice.kubernetes.io/skip-mirror: "true"` and
those that a controller here made are left alone. A run with nothing to do makes no call.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
from collections.abc import Iterator

from raftsman import errors
from raftsman.controller import Controller, Key, Watch
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery
from raftsman.metadata import is_deleting, owner_reference

from .endpoint_slices_plan import ENDPOINTS_MAX, MANAGED_LABEL, SERVICE_LABEL

MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP_LABEL = "endpointslice.kubernetes.io/skip-mirror"
SLICES_MAX = 100
SLICES_BY_ENDPOINTS = "endpoints"


def endpoints_key(found: discovery.EndpointSlice) -> Key | None:
    """The Endpoints that a slice mirrors, if it mirrors any."""
    labels = found.metadata.labels
    if labels.get(MANAGED_LABEL) != MANAGER or not labels.get(SERVICE_LABEL):
        return None
    return Key(found.metadata.namespace, labels[SERVICE_LABEL])


def endpoints_index(found: discovery.EndpointSlice) -> str | None:
    key = endpoints_key(found)
    return str(key) if key is not None else None


class EndpointsMirrorController(Controller):
    name = "endpoints-mirror"
    component = "endpoint-slice-mirroring-controller"
    watches = (
        Watch(core.Endpoints),
        Watch(core.Service),
        Watch(discovery.EndpointSlice, key=endpoints_key, indexers={SLICES_BY_ENDPOINTS: endpoints_index}),
    )

    async def reconcile(self, key: Key) -> None:
        service, endpoints = self.cache(core.Service).get(key), self.cache(core.Endpoints).get(key)
        present = {
            found.metadata.name: found
            for found in self.cache(discovery.EndpointSlice).by_index(SLICES_BY_ENDPOINTS, str(key))
        }
        for wanted in mirrored(service, endpoints):
            found = present.pop(wanted.metadata.name, None)
            if found is None:
                await self.client.create(wanted)
            elif (update := changed(found, wanted)) is not None:
                await self.client.update(update)
        for found in present.values():
            with contextlib.suppress(errors.NotFound):
                await self.client.delete(
                    discovery.EndpointSlice, found.metadata.name, namespace=key.namespace, uid=found.metadata.uid
                )


def mirrored(service: core.Service | None, endpoints: core.Endpoints | None) -> list[discovery.EndpointSlice]:
    """The slices that say what `endpoints` say. Pure."""
    if service is None or endpoints is None or is_deleting(endpoints) or service.spec.selector:
        return []
    if endpoints.metadata.labels.get(SKIP_LABEL) == "true" or service.spec.type == "ExternalName":
        return []
    made = []
    for number, (family, subset, members) in enumerate(itertools.islice(_groups(endpoints), SLICES_MAX)):
        found = discovery.EndpointSlice(address_type=family, endpoints=members)
        found.metadata.name = f"{endpoints.metadata.name}-{family.lower()}-{number}"
        found.metadata.namespace = endpoints.metadata.namespace
        found.metadata.labels.update(endpoints.metadata.labels)
        found.metadata.labels.update({SERVICE_LABEL: endpoints.metadata.name, MANAGED_LABEL: MANAGER})
        found.metadata.owner_references.append(owner_reference(endpoints))
        for port in subset.ports:
            entry = found.ports.add(name=port.name, protocol=port.protocol or "TCP", port=port.port)
            if port.app_protocol:
                entry.app_protocol = port.app_protocol
        made.append(found)
    return made


def changed(found: discovery.EndpointSlice, wanted: discovery.EndpointSlice) -> discovery.EndpointSlice | None:
    """`found` as it should be, or None if it is. Its address type, which may not change, is in its name."""
    update = discovery.EndpointSlice()
    update.CopyFrom(wanted)
    update.metadata.CopyFrom(found.metadata)
    update.metadata.labels.clear()
    update.metadata.labels.update(wanted.metadata.labels)
    del update.metadata.owner_references[:]
    update.metadata.owner_references.extend(wanted.metadata.owner_references)
    return update if update != found else None


def _groups(
    endpoints: core.Endpoints,
) -> Iterator[tuple[str, core.EndpointSubset, list[discovery.Endpoint]]]:
    for subset in endpoints.subsets:
        members: dict[str, list[discovery.Endpoint]] = {}
        for ready, addresses in ((True, subset.addresses), (False, subset.not_ready_addresses)):
            for address in addresses:
                members.setdefault(_family(address.ip), []).append(_endpoint(address, ready=ready))
        for family, found in sorted(members.items()):
            for begin in range(0, len(found), ENDPOINTS_MAX):
                yield family, subset, found[begin : begin + ENDPOINTS_MAX]


def _family(address: str) -> str:
    return f"IPv{ipaddress.ip_address(address).version}"


def _endpoint(address: core.EndpointAddress, *, ready: bool) -> discovery.Endpoint:
    made = discovery.Endpoint(addresses=[address.ip], conditions=discovery.EndpointConditions(ready=ready))
    if address.hostname:
        made.hostname = address.hostname
    if address.node_name:
        made.node_name = address.node_name
    if address.HasField("target_ref"):
        made.target_ref.CopyFrom(address.target_ref)
    return made
