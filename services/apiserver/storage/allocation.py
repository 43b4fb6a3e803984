"""Service addresses and node ports, each held by at most one service in the whole cluster.

An address is taken by a key of its own, written in the same transaction as the service and only if absent, so that two
API servers can never hand it out twice; it is given back in the transaction that removes the service. What is free is
known from the store's watch; a transaction that finds an address taken after all tries the next, RETRIES_MAX times.

    /registry/allocations/clusterips/10.96.0.10 = default/web
    /registry/allocations/nodeports/30080 = default/web
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable
from typing import Any

from raftsman import errors
from raftsman.core import v1 as core
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.config import Network
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.validation.causes import Causes
from raftsman.services.apiserver.watchcache.object import CachedObject

from . import keys, store
from .objects import Change, Changing, Charge, Objects, Taken, Together

RETRIES_MAX = 16
PROBES_MAX = 1024
# The first addresses are for static use (KEP-3070), picked automatically only when nothing else is left.
STATIC_MAX = 256
_WITH_ADDRESS = ("ClusterIP", "NodePort", "LoadBalancer")
_WITH_PORTS = ("NodePort", "LoadBalancer")


class Allocator:
    """Writes objects as `Objects` does, and services together with their addresses."""

    def __init__(self, objects: Objects, *, network: Network, ports: tuple[int, int]) -> None:
        self._objects, self._network, self._ports = objects, network, ports
        self._taken_ips: set[str] = set()
        self._taken_ports: set[int] = set()

    def forget(self) -> None:
        """Before all keys are told anew."""
        self._taken_ips.clear()
        self._taken_ports.clear()

    def seen(self, key: bytes, value: bytes | None) -> None:
        """A change of an allocation key in the store."""
        text = key.decode()
        if text.startswith(keys.CLUSTER_IPS):
            _mark(self._taken_ips, text.removeprefix(keys.CLUSTER_IPS), now=value is not None)
        elif text.startswith(keys.NODE_PORTS):
            _mark(self._taken_ports, int(text.removeprefix(keys.NODE_PORTS)), now=value is not None)

    async def create(self, kind: Kind, obj: Any, *, charge: Charge | None = None) -> CachedObject:
        if not isinstance(obj, core.Service):
            return await self._objects.create(kind, obj, charge=charge)
        asked = core.Service()
        asked.CopyFrom(obj)
        for _ in range(RETRIES_MAX):
            obj.CopyFrom(asked)
            together = self._claimed(kind, obj, None)
            try:
                return await self._objects.create(kind, obj, together=together, charge=charge)
            except Taken as taken:
                self._settle(kind, asked, taken)
        raise errors.Unavailable("service addresses are being taken faster than they can be found; try again")

    async def update(
        self,
        kind: Kind,
        name: str,
        change: Changing,
        *,
        namespace: str,
        dry_run: bool = False,
    ) -> CachedObject:
        """As Objects.update; a service's addresses are taken and given back in the same transaction."""
        if kind.message is not core.Service:
            return await self._objects.update(kind, name, change, namespace=namespace, dry_run=dry_run)
        asked = core.Service()

        async def with_addresses(found: CachedObject) -> Change:
            wanted = await change(found)
            asked.CopyFrom(wanted.new)
            if wanted.remove:
                return Change(wanted.new, remove=True, together=Together(ops=self._given_back(wanted.new, None)))
            together = self._claimed(kind, wanted.new, found.parsed())
            return Change(wanted.new, together=together, charge=wanted.charge)

        for _ in range(RETRIES_MAX):
            try:
                return await self._objects.update(kind, name, with_addresses, namespace=namespace, dry_run=dry_run)
            except Taken as taken:
                self._settle(kind, asked, taken)
        raise failures.conflict(kind.resource, name)

    # Deciding

    def _claimed(self, kind: Kind, service: core.Service, old: core.Service | None) -> Together:
        """Fill in what the service leaves open; the conditions and writes that take it."""
        before_ips, before_ports = (held_ips(old), held_ports(old)) if old is not None else (set(), set())
        self._choose_address(service)
        self._choose_ports(service)
        self._check(kind, service, before_ips, before_ports)
        owner = f"{service.metadata.namespace}/{service.metadata.name}".encode()
        new_keys = [*_ip_keys(held_ips(service) - before_ips), *_port_keys(held_ports(service) - before_ports)]
        ops = [store.put(key, owner) for key in new_keys] + self._given_back(old, service)
        return Together([store.absent(key) for key in new_keys], ops)

    def _given_back(self, old: core.Service | None, new: core.Service | None) -> list[Any]:
        if old is None:
            return []
        ips = held_ips(old) - (held_ips(new) if new is not None else set())
        ports = held_ports(old) - (held_ports(new) if new is not None else set())
        return [store.remove(key) for key in (*_ip_keys(ips), *_port_keys(ports))]

    def _choose_address(self, service: core.Service) -> None:
        if service.spec.type in _WITH_ADDRESS and not service.spec.cluster_ip:
            service.spec.cluster_ip = self._free_address()
            service.spec.ClearField("cluster_ips")
            service.spec.cluster_ips.append(service.spec.cluster_ip)

    def _choose_ports(self, service: core.Service) -> None:
        spec = service.spec
        unwanted = spec.HasField("allocate_load_balancer_node_ports") and not spec.allocate_load_balancer_node_ports
        if spec.type not in _WITH_PORTS or (spec.type == "LoadBalancer" and unwanted):
            return
        used = {port.node_port for port in service.spec.ports if port.node_port}
        for port in service.spec.ports:
            if not port.node_port:
                port.node_port = self._free_port(used)
                used.add(port.node_port)

    def _free_address(self) -> str:
        size = self._network.num_addresses
        static = min(max(16, size // 16), STATIC_MAX, size // 2)
        for first, count in ((static, size - static - 1), (1, static - 1)):
            for candidate in _probes(first, count):
                address = str(self._network[candidate])
                if address not in self._taken_ips:
                    return address
        raise errors.InternalError("failed to allocate a service IP: range is full")

    def _free_port(self, used: set[int]) -> int:
        first, last = self._ports
        for candidate in _probes(first, last - first + 1):
            if candidate not in self._taken_ports and candidate not in used:
                return candidate
        raise errors.InternalError("failed to allocate a nodePort: range is full")

    def _check(self, kind: Kind, service: core.Service, before_ips: set[str], before_ports: set[int]) -> None:
        """errors.Invalid for an asked address or port that is out of range."""
        causes = Causes()
        for address in held_ips(service) - before_ips:
            if not self._allocatable(address):
                causes.invalid(
                    "spec.clusterIPs",
                    [address],
                    f"failed to allocate IP {address}: the provided IP "
                    f"({address}) is not in the valid range. The range of valid IPs is {self._network}",
                )
        first, last = self._ports
        for index, port in enumerate(service.spec.ports):
            if port.node_port and port.node_port not in before_ports and not first <= port.node_port <= last:
                causes.invalid(
                    f"spec.ports[{index}].nodePort",
                    port.node_port,
                    f"provided port is not in the valid range. The range of valid ports is {first}-{last}",
                )
        if causes:
            raise failures.invalid(kind.resource, service.metadata.name, causes.found)

    def _allocatable(self, text: str) -> bool:
        address = ipaddress.ip_address(text)
        ends = (self._network.network_address, self._network.broadcast_address)
        return address in self._network and address not in ends

    def _settle(self, kind: Kind, asked: core.Service, taken: Taken) -> None:
        """After a transaction found something taken: errors.Invalid if it was asked for, else remember it."""
        causes = Causes()
        for key in taken.keys:
            self.seen(key, b"taken")
        for address in held_ips(asked):
            if _ip_keys((address,))[0] in taken.keys:
                causes.invalid(
                    "spec.clusterIPs", [address], f"failed to allocate IP {address}: provided IP is already allocated"
                )
        for index, port in enumerate(asked.spec.ports):
            if port.node_port and _port_keys((port.node_port,))[0] in taken.keys:
                causes.invalid(f"spec.ports[{index}].nodePort", port.node_port, "provided port is already allocated")
        if causes:
            raise failures.invalid(kind.resource, asked.metadata.name, causes.found)


def _mark(taken: set[Any], what: Any, *, now: bool) -> None:
    if now:
        taken.add(what)
    else:
        taken.discard(what)


def _probes(first: int, count: int) -> Iterable[int]:
    """PROBES_MAX random numbers of a range, then every one of it in order."""
    if count <= 0:
        return
    for _ in range(min(count, PROBES_MAX)):
        yield first + secrets.randbelow(count)
    yield from range(first, first + count)


def held_ips(service: core.Service) -> set[str]:
    if service.spec.type not in _WITH_ADDRESS:
        return set()
    addresses = service.spec.cluster_ips or [service.spec.cluster_ip]
    return {address for address in addresses if address not in ("", "None")}


def held_ports(service: core.Service) -> set[int]:
    if service.spec.type not in _WITH_PORTS:
        return set()
    return {port.node_port for port in service.spec.ports if port.node_port}


def _ip_keys(addresses: Iterable[str]) -> list[bytes]:
    return [f"{keys.CLUSTER_IPS}{address}".encode() for address in addresses]


def _port_keys(ports: Iterable[int]) -> list[bytes]:
    return [f"{keys.NODE_PORTS}{port}".encode() for port in ports]
