"""Decide where a pod goes: pure, no I/O, no clock, no randomness.

n1 is full, n2 and n3 can take the pod, n3 is fuller    → Placement("n3")
all can, all score the same, rotation 4                 → the 4th of them, counting around
n1 is full, n2 and n3 are tainted                       → Refusal("0/3 nodes are available: 1 Insufficient cpu,
                                                          2 node(s) had untolerated taint(s).")
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .demand import Demand
from .filters import FILTERS, Reasons
from .scores import SCORES
from .snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Placement:
    node_name: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """No node can take the pod now. `message` says why, with the number of nodes for each reason."""

    message: str


def decide(demand: Demand, nodes: Snapshot, *, rotation: int) -> Placement | Refusal:
    """`rotation` settles ties, so that nodes that are equal take turns when it counts up."""
    if not len(nodes):
        return Refusal("no nodes available to schedule pods")
    rows, reasons = _feasible(demand, nodes, range(len(nodes)))
    if not rows:
        return Refusal(_sentence(reasons, len(nodes)))
    if len(rows) == 1:
        return Placement(nodes.names[rows[0]])
    totals = [0] * len(rows)
    for score, weight in SCORES:
        for index, value in enumerate(score(demand, nodes, rows)):
            totals[index] += weight * value
    best = max(totals)
    winners = [row for row, total in zip(rows, totals, strict=True) if total == best]
    return Placement(nodes.names[winners[rotation % len(winners)]])


def fits(demand: Demand, nodes: Snapshot, *, row: int) -> bool:
    """Whether this one node can take the pod."""
    rows, _ = _feasible(demand, nodes, (row,))
    return bool(rows)


def _feasible(demand: Demand, nodes: Snapshot, rows: Sequence[int]) -> tuple[Sequence[int], list[Reasons]]:
    """The rows that every filter lets through, and why the others were stopped by the first that stopped them."""
    refused: list[Reasons] = []
    for judge in FILTERS:
        verdicts = judge(demand, nodes, rows)
        if any(verdicts):
            refused += [reasons for reasons in verdicts if reasons]
            rows = [row for row, reasons in zip(rows, verdicts, strict=True) if not reasons]
            if not rows:
                break
    return rows, refused


def _sentence(refused: Iterable[Reasons], nodes: int) -> str:
    counts = Counter(reason for reasons in refused for reason in reasons)
    parts = sorted(f"{count} {reason}" for reason, count in counts.items())
    return f"0/{nodes} nodes are available: {', '.join(parts)}."
