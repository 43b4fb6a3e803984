"""Show the cluster addresses of services as IPAddress objects, each with the service that it belongs to.

Reads Service and IPAddress; writes IPAddress (create, delete). The addresses themselves are given out by the API
server: an object that somebody else made is left alone, and one that is missing comes back.
"""

from __future__ import annotations

import contextlib
import enum
import ipaddress
from collections.abc import Iterable, Sequence

from raftsman import errors
from raftsman.controller import Controller, Key, Watch
from raftsman.core import v1 as core
from raftsman.metadata import is_deleting
from raftsman.networking import v1 as networking

MANAGED_BY, MANAGER = "ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io"
FAMILY = "ipaddress.kubernetes.io/ip-family"


class Plan(enum.Enum):
    """What is to be done about one address."""

    NOTHING = 0
    CREATE = 1
    DELETE = 2


def addresses(service: core.Service) -> list[str]:
    """The cluster addresses of a service, as objects are called after them."""
    if service.spec.type == "ExternalName":
        return []
    return [str(ipaddress.ip_address(one)) for one in service.spec.cluster_ips if one not in ("", "None")]


def wanted(address: str, service: core.Service) -> networking.IPAddress:
    """The object of a service's address."""
    found = networking.IPAddress()
    found.metadata.name = address
    found.metadata.labels[FAMILY] = "IPv6" if ":" in address else "IPv4"
    found.metadata.labels[MANAGED_BY] = MANAGER
    parent = found.spec.parent_ref
    parent.resource, parent.namespace, parent.name = "services", service.metadata.namespace, service.metadata.name
    return found


def decide(address: str, services: Sequence[core.Service], found: networking.IPAddress | None) -> Plan:
    """`services`: those that have the address. One that names another service is deleted, and made again then."""
    if found is None:
        return Plan.CREATE if services else Plan.NOTHING
    if found.metadata.labels.get(MANAGED_BY) != MANAGER or is_deleting(found):
        return Plan.NOTHING
    right = any(wanted(address, service).spec == found.spec for service in services)
    return Plan.NOTHING if right else Plan.DELETE


class ServiceAddressController(Controller):
    name = "service-addresses"
    watches = (
        Watch(core.Service, key=lambda service: _keys(service), indexers={"address": addresses},
              changed=lambda old, new: addresses(old) != addresses(new)),
        Watch(networking.IPAddress),
    )  # fmt: skip

    async def reconcile(self, key: Key) -> None:
        services = list(self.cache(core.Service).by_index("address", key.name))
        found = self.cache(networking.IPAddress).get(key)
        plan = decide(key.name, services, found)
        if plan is Plan.CREATE:
            with contextlib.suppress(errors.AlreadyExists):
                await self.client.create(wanted(key.name, services[0]))
        elif plan is Plan.DELETE and found is not None:
            with contextlib.suppress(errors.NotFound):
                await self.client.delete(networking.IPAddress, key.name, uid=found.metadata.uid)


def _keys(service: core.Service) -> Iterable[Key]:
    return [Key("", address) for address in addresses(service)]
