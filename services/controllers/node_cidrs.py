"""Give every node its part of the cluster's pod addresses.

Reads Node; writes Node.spec.podCIDR and podCIDRs, once: they never change afterwards. No two nodes get overlapping
parts. The one after the last given comes next, so that a part that was just freed rests. When none is left, the node
says so in an event and is looked at again every EXHAUSTED_RETRY_S. A node agent waits for this before it can start
pods, so nothing here waits for anything.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from raftsman import logs, metadata
from raftsman.controller import Controller, Key, Result, Watch
from raftsman.core import v1 as core

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

EXHAUSTED_RETRY_S = 30.0
log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Ranges:
    """The cluster's addresses, cut into equal parts numbered from 0."""

    cluster: Network
    prefix: int

    def __post_init__(self) -> None:
        if not self.cluster.prefixlen <= self.prefix <= self.cluster.max_prefixlen:
            raise ValueError(f"a node mask of /{self.prefix} does not fit into {self.cluster}")

    @property
    def count(self) -> int:
        return 1 << (self.prefix - self.cluster.prefixlen)

    def part(self, number: int) -> str:
        size = 1 << (self.cluster.max_prefixlen - self.prefix)
        return f"{self.cluster.network_address + number * size}/{self.prefix}"

    def numbers(self, cidr: str) -> range:
        """The parts that `cidr` touches; empty if it lies elsewhere."""
        try:
            network = ipaddress.ip_network(cidr, strict=False)
        except ValueError:
            return range(0)
        if network.version != self.cluster.version or not network.overlaps(self.cluster):
            return range(0)
        start, shift = int(self.cluster.network_address), self.cluster.max_prefixlen - self.prefix
        first = max(int(network.network_address) - start, 0) >> shift
        last = min((int(network.broadcast_address) - start) >> shift, self.count - 1)
        return range(first, last + 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """The part to assign, by number; or none is left."""

    assign: int | None = None
    exhausted: bool = False


def decide(node: core.Node, *, taken: frozenset[int], ranges: Ranges, after: int) -> Plan:
    """`taken`: the parts that nodes have. `after`: the number given last, -1 before the first."""
    if node.spec.pod_cidrs or node.spec.pod_cidr or metadata.is_deleting(node):
        return Plan()
    for step in range(ranges.count):
        number = (after + 1 + step) % ranges.count
        if number not in taken:
            return Plan(assign=number)
    return Plan(exhausted=True)


class NodeCidrController(Controller):
    """One worker: two decisions at once could take the same part."""

    name = "node-cidrs"
    component = "cidrAllocator"
    watches = (Watch(core.Node, changed=lambda old, new: old.spec != new.spec),)

    def __init__(self, cluster_cidr: str, *, node_prefix: int = 24) -> None:
        self._ranges = Ranges(ipaddress.ip_network(cluster_cidr), node_prefix)
        self._given: dict[Key, int] = {}
        self._last = -1

    async def reconcile(self, key: Key) -> Result | None:
        node = self.cache(core.Node).get(key)
        if node is None:
            self._given.pop(key, None)
            return None
        plan = decide(node, taken=self._taken(key), ranges=self._ranges, after=self._last)
        if plan.exhausted:
            message = f"no part of {self._ranges.cluster} is left for this node"
            self.events.warning(node, "CIDRNotAvailable", message)
            return Result(EXHAUSTED_RETRY_S)
        if plan.assign is not None:
            await self._assign(node, key, plan.assign)
        return None

    def _taken(self, key: Key) -> frozenset[int]:
        """What the cache shows, and what was given and the cache may not show yet."""
        shown = {number for node in self.cache(core.Node) for number in _numbers(node, self._ranges)}
        return frozenset(shown | {number for other, number in self._given.items() if other != key})

    async def _assign(self, node: core.Node, key: Key, number: int) -> None:
        cidr = self._ranges.part(number)
        self._given[key] = number
        patch = {"metadata": {"uid": node.metadata.uid}, "spec": {"podCIDR": cidr, "podCIDRs": [cidr]}}
        await self.client.patch(core.Node, node.metadata.name, patch)
        self._last = number
        log.info("pod addresses given", node=node.metadata.name, cidr=cidr)


def _numbers(node: core.Node, ranges: Ranges) -> Iterable[int]:
    for cidr in {*node.spec.pod_cidrs, node.spec.pod_cidr}:
        yield from ranges.numbers(cidr)
