"""Where a pod can run. Each filter answers for many nodes at once. Pure.

A filter takes rows of the snapshot and returns, for each of them in order, why the pod cannot run there: () if it can.
The reasons are Kubernetes' words, which tools and people look for; they end up in the pod's condition, with counts.
`decide` asks a filter only about the nodes that all filters before it let through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import places
from .demand import PODS, Demand, Taint
from .snapshot import Snapshot

Reasons = tuple[str, ...]
Filter = Callable[[Demand, Snapshot, Sequence[int]], list[Reasons]]

UNSCHEDULABLE_TAINT = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")
_FITS: Reasons = ()
_CORDONED: Reasons = ("node(s) were unschedulable",)
_TAINTED: Reasons = ("node(s) had untolerated taint(s)",)
_UNSELECTED: Reasons = ("node(s) didn't match Pod's node affinity/selector",)
_PORT_TAKEN: Reasons = ("node(s) didn't have free ports for the requested pod ports",)


def schedulable(demand: Demand, nodes: Snapshot, rows: Sequence[int]) -> list[Reasons]:
    """Not cordoned, or the pod tolerates that."""
    if demand.tolerates(UNSCHEDULABLE_TAINT):
        return [_FITS] * len(rows)
    return [_CORDONED if nodes.unschedulable[row] else _FITS for row in rows]


def tolerated(demand: Demand, nodes: Snapshot, rows: Sequence[int]) -> list[Reasons]:
    """Every taint that keeps pods away is tolerated."""
    known: dict[tuple[Taint, ...], Reasons] = {(): _FITS}
    found = []
    for row in rows:
        taints = nodes.taints[row]
        if taints not in known:
            known[taints] = _FITS if demand.endures(taints) else _TAINTED
        found.append(known[taints])
    return found


def selected(demand: Demand, nodes: Snapshot, rows: Sequence[int]) -> list[Reasons]:
    """The node has all labels of the pod's nodeSelector, and matches a term of its node affinity."""
    if not demand.node_selector and demand.node_terms is None:
        return [_FITS] * len(rows)
    return [_FITS if demand.selects(nodes.names[row], nodes.labels[row]) else _UNSELECTED for row in rows]


def ports_free(demand: Demand, nodes: Snapshot, rows: Sequence[int]) -> list[Reasons]:
    """No pod of the node has one of the wanted ports of the node itself."""
    if not demand.host_ports:
        return [_FITS] * len(rows)

    def taken(row: int) -> bool:
        return any(port.clashes(other) for port in demand.host_ports for other in nodes.host_ports[row])

    return [_PORT_TAKEN if taken(row) else _FITS for row in rows]


def resources_fit(demand: Demand, nodes: Snapshot, rows: Sequence[int]) -> list[Reasons]:
    """There is room for one pod more, and for each resource that it asks for; all that are short are named."""
    room = nodes.allocatable_of(PODS)
    found: list[Reasons] = [_FITS if nodes.pods[row] < room[row] else ("Too many pods",) for row in rows]
    for resource, amount in demand.resources:
        used, total = nodes.requested_of(resource), nodes.allocatable_of(resource)
        reason = (f"Insufficient {resource}",)
        for index, row in enumerate(rows):
            if used[row] + amount > total[row]:
                found[index] += reason
    return found


FILTERS: tuple[Filter, ...] = (
    schedulable,
    tolerated,
    selected,
    ports_free,
    resources_fit,
    places.near,
    places.apart,
    places.spread,
)
