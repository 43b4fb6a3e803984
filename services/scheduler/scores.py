"""Where a pod should run, of the nodes where it can. Each score answers for many nodes at once. Pure.

A score takes rows of the snapshot and returns a number from 0 to SCORE_MAX for each of them in order; the sum by
weight decides. Pods are packed: the node that is fullest afterwards wins, so that large pods find room elsewhere and
empty machines can be switched off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import places
from .demand import CPU, MEMORY, Demand
from .snapshot import Snapshot

SCORE_MAX = 100
Score = Callable[[Demand, Snapshot, Sequence[int]], list[int]]


def packed(demand: Demand, nodes: Snapshot, rows: Sequence[int]) -> list[int]:
    """How full CPU and memory are with the pod, on average, in percent. Pods that ask for nothing count a little."""
    cpu, memory = nodes.allocatable_of(CPU), nodes.allocatable_of(MEMORY)
    found = []
    for row in rows:
        cpu_used = nodes.scored_cpu_milli[row] + demand.scored_cpu_milli
        memory_used = nodes.scored_memory_bytes[row] + demand.scored_memory_bytes
        found.append((_percent(cpu_used, cpu[row]) + _percent(memory_used, memory[row])) // 2)
    return found


def _percent(used: int, total: int) -> int:
    """More than there is (what pods are estimated at may be) is no better than nothing."""
    return SCORE_MAX * used // total if used <= total else 0


def preferred(demand: Demand, nodes: Snapshot, rows: Sequence[int]) -> list[int]:
    """The fewer taints that would rather keep the pod away, the better."""
    averse = [
        sum(taint.effect == "PreferNoSchedule" and not demand.tolerates(taint) for taint in nodes.taints[row])
        for row in rows
    ]
    most = max(averse, default=0)
    return [SCORE_MAX - SCORE_MAX * count // most if most else SCORE_MAX for count in averse]


def near(demand: Demand, nodes: Snapshot, rows: Sequence[int]) -> list[int]:
    """The sum of the weights of the node affinities that the node matches, the best at SCORE_MAX."""
    if not demand.node_preferences:
        return [0] * len(rows)
    sums = [
        sum(one.weight for one in demand.node_preferences if one.term.matches(nodes.names[row], nodes.labels[row]))
        for row in rows
    ]
    most = max(sums, default=0)
    return [SCORE_MAX * found // most if most else 0 for found in sums]


SCORES: tuple[tuple[Score, int], ...] = ((packed, 1), (preferred, 3), (near, 2), (places.liked, 2), (places.even, 2))
"""With weights."""
