"""What the nodes have and what of it is taken, in columns. Pure.

Row i of every column is node i. After adding n1 (2 CPUs) with one pod of 500m, and n2 (4 CPUs):

    names        n1    n2
    allocatable  cpu   2000  4000      memory …
    requested    cpu    500     0      memory …
    pods            1     0

A pod counts on its node from the moment it is assumed there, seen or not, and once however often it is put; pods of a
node that has not been seen yet wait for it. Rows are dense: the last one moves into the place of one that goes, so a
row number is good only until the next change (`version` counts them).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from raftsman.core import v1 as core

from .demand import Demand, HostPort, Taint, amounts

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
Column = list[int]


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What of a node matters to where pods go."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    allocatable: dict[str, int] = field(default_factory=dict)


def facts_of(node: core.Node) -> NodeFacts:
    """A node that is not ready counts as tainted so, also in the moment before its taint is written."""
    taints = [Taint(t.key, t.value, t.effect) for t in node.spec.taints]
    missing = _readiness_taint(node)
    if missing is not None and not any(t.key == missing.key and t.effect == missing.effect for t in taints):
        taints.append(missing)
    return NodeFacts(
        node.metadata.name,
        dict(node.metadata.labels),
        tuple(sorted(taints)),
        node.spec.unschedulable,
        amounts(node.status.allocatable or node.status.capacity),
    )


def _readiness_taint(node: core.Node) -> Taint | None:
    ready = next((c.status for c in node.status.conditions if c.type == "Ready"), "False")
    if ready == "True":
        return None
    return Taint(UNREACHABLE if ready == "Unknown" else NOT_READY, "", "NoSchedule")


@dataclass(frozen=True, slots=True)
class _Placed:
    node_name: str
    demand: Demand


class Snapshot:
    """Columns of all nodes; kept up to date by calls, read by filters and scores."""

    def __init__(self) -> None:
        self.version = 0
        self.names: list[str] = []
        self.labels: list[dict[str, str]] = []
        self.taints: list[tuple[Taint, ...]] = []
        self.unschedulable: list[bool] = []
        self.allocatable: dict[str, Column] = {}
        self.requested: dict[str, Column] = {}
        self.pods: Column = []
        self.scored_cpu_milli: Column = []
        self.scored_memory_bytes: Column = []
        self.host_ports: list[list[HostPort]] = []
        self.apart = 0
        """How many of the pods want to be apart from others."""
        self._facts: list[NodeFacts] = []
        self._rows: dict[str, int] = {}
        self._placed: dict[str, _Placed] = {}
        self._by_node: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self.names)

    def row_of(self, name: str) -> int | None:
        return self._rows.get(name)

    def allocatable_of(self, resource: str) -> Column:
        """The column of a resource; zeros if no node has it."""
        return self.allocatable.get(resource) or [0] * len(self.names)

    def requested_of(self, resource: str) -> Column:
        return self.requested.get(resource) or [0] * len(self.names)

    def put_node(self, facts: NodeFacts) -> bool:
        """Add a node or change it; whether anything that matters is different now."""
        row = self._rows.get(facts.name)
        if row is not None and self._facts[row] == facts:
            return False
        self.version += 1
        if row is None:
            row = self._add_row(facts)
        self._facts[row] = facts
        self.labels[row], self.taints[row] = facts.labels, facts.taints
        self.unschedulable[row] = facts.unschedulable
        for resource in {*self.allocatable, *facts.allocatable}:
            self._column(self.allocatable, resource)[row] = facts.allocatable.get(resource, 0)
        return True

    def remove_node(self, name: str) -> bool:
        row = self._rows.pop(name, None)
        if row is None:
            return False
        self.version += 1
        last = len(self.names) - 1
        if row != last:
            self._rows[self.names[last]] = row
        for column in self._columns():
            column[row] = column[last]
            column.pop()
        return True

    def put_pod(self, uid: str, node_name: str, *, demand: Demand) -> None:
        """Count a pod on a node. One that is counted there already stays; one that is elsewhere moves."""
        before = self._placed.get(uid)
        if before is not None and before.node_name == node_name and before.demand.who == demand.who:
            return
        if before is not None:
            self.remove_pod(uid)
        self.version += 1
        self._placed[uid] = _Placed(node_name, demand)
        self.apart += bool(demand.wishes.apart)
        self._by_node.setdefault(node_name, set()).add(uid)
        row = self._rows.get(node_name)
        if row is not None:
            self._count(row, demand, 1)

    def remove_pod(self, uid: str) -> str | None:
        """Count a pod no more; the node that it was on."""
        placed = self._placed.pop(uid, None)
        if placed is None:
            return None
        self.version += 1
        self.apart -= bool(placed.demand.wishes.apart)
        uids = self._by_node[placed.node_name]
        uids.discard(uid)
        if not uids:
            del self._by_node[placed.node_name]
        row = self._rows.get(placed.node_name)
        if row is not None:
            self._count(row, placed.demand, -1)
        return placed.node_name

    def placed(self, row: int) -> Iterator[Demand]:
        """The pods of a node."""
        return (self._placed[uid].demand for uid in self._by_node.get(self.names[row], ()))

    def _add_row(self, facts: NodeFacts) -> int:
        row = self._rows[facts.name] = len(self.names)
        self.names.append(facts.name)
        self._facts.append(facts)
        self.labels.append({})
        self.taints.append(())
        self.unschedulable.append(False)
        self.host_ports.append([])
        numbers = (self.pods, self.scored_cpu_milli, self.scored_memory_bytes)
        for column in (*numbers, *self.allocatable.values(), *self.requested.values()):
            column.append(0)
        for uid in self._by_node.get(facts.name, ()):
            self._count(row, self._placed[uid].demand, 1)
        return row

    def _columns(self) -> list[list]:  # type: ignore[type-arg]
        return [
            self.names, self._facts, self.labels, self.taints, self.unschedulable, self.host_ports, self.pods,
            self.scored_cpu_milli, self.scored_memory_bytes, *self.allocatable.values(), *self.requested.values(),
        ]  # fmt: skip

    def _column(self, columns: dict[str, Column], resource: str) -> Column:
        column = columns.get(resource)
        if column is None:
            column = columns[resource] = [0] * len(self.names)
        return column

    def _count(self, row: int, demand: Demand, sign: int) -> None:
        for resource, amount in demand.resources:
            self._column(self.requested, resource)[row] += sign * amount
        self.pods[row] += sign
        self.scored_cpu_milli[row] += sign * demand.scored_cpu_milli
        self.scored_memory_bytes[row] += sign * demand.scored_memory_bytes
        for port in demand.host_ports:
            if sign > 0:
                self.host_ports[row].append(port)
            else:
                self.host_ports[row].remove(port)
