"""How many of a budget's pods may go now. Pure.

expected   all selected pods; for shares and `maxUnavailable`, what the pods' controllers want
desired    minAvailable, or expected less maxUnavailable; shares are rounded up
healthy    ready, not being deleted, not granted to an eviction within DISRUPTED_S
allowed    healthy - desired, not below 0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.policy import v1 as policy

# An eviction that was granted and is not seen as a deletion by then has failed on the way.
DISRUPTED_S = 120.0
CONDITION = "DisruptionAllowed"


@dataclass(frozen=True, slots=True)
class Observed:
    budget: policy.PodDisruptionBudget
    pods: Sequence[core.Pod]
    """That the budget selects."""
    scales: Mapping[str, int]
    """By uid of a pod's controller: how many pods it wants."""
    unmanaged: Sequence[str] = ()
    """Pods of which nobody says how many there should be."""


@dataclass(frozen=True, slots=True)
class Plan:
    status: policy.PodDisruptionBudgetStatus | None = None
    """As it should be; None if it is so already."""
    look_again_s: float | None = None


def needs_scales(budget: policy.PodDisruptionBudget) -> bool:
    """Whether it is about how many pods there should be."""
    return budget.spec.HasField("max_unavailable") or bool(budget.spec.min_available.type)


def decide(observed: Observed, *, now: float) -> Plan:
    budget = observed.budget
    disrupted = _disrupted(observed, now=now)
    expected = sum(observed.scales.values()) if needs_scales(budget) else len(observed.pods)
    desired = _desired(budget.spec, expected)
    healthy = sum(_healthy(pod) and pod.metadata.name not in disrupted for pod in observed.pods)
    status = policy.PodDisruptionBudgetStatus(
        observed_generation=budget.metadata.generation, current_healthy=healthy, desired_healthy=desired,
        expected_pods=expected, disruptions_allowed=max(healthy - desired, 0) if expected > 0 else 0,
    )  # fmt: skip
    for name, at in disrupted.items():
        status.disrupted_pods[name].CopyFrom(at)
    _conditions(status, budget, now=now)
    again = min((at.seconds + DISRUPTED_S - now for at in disrupted.values()), default=None)
    return Plan(None if status == budget.status else status, None if again is None else max(again, 1.0))


def failed(budget: policy.PodDisruptionBudget, why: str, *, now: float) -> policy.PodDisruptionBudgetStatus:
    """When it cannot be told how many may go, none may."""
    status = policy.PodDisruptionBudgetStatus()
    status.CopyFrom(budget.status)
    status.disruptions_allowed, status.observed_generation = 0, budget.metadata.generation
    _set(status, "False", "SyncFailed", message=why, generation=budget.metadata.generation, now=now)
    return status


def _desired(spec: policy.PodDisruptionBudgetSpec, expected: int) -> int:
    if spec.HasField("max_unavailable"):
        return max(expected - _amount(spec.max_unavailable, expected), 0)
    return _amount(spec.min_available, expected) if spec.HasField("min_available") else 0


def _amount(value: meta.IntOrString, of: int) -> int:
    if not value.type:
        return int(value.int_val)
    return -(-of * int(value.str_val.removesuffix("%")) // 100)


def _healthy(pod: core.Pod) -> bool:
    ready = any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions)
    return ready and not pod.metadata.HasField("deletion_timestamp")


def _disrupted(observed: Observed, *, now: float) -> dict[str, meta.Time]:
    """Evictions that were granted and are not seen yet."""
    there = {pod.metadata.name for pod in observed.pods if not pod.metadata.HasField("deletion_timestamp")}
    granted = observed.budget.status.disrupted_pods
    return {name: granted[name] for name in granted if name in there and now < granted[name].seconds + DISRUPTED_S}


def _conditions(status: policy.PodDisruptionBudgetStatus, budget: policy.PodDisruptionBudget, *, now: float) -> None:
    status.conditions.extend(budget.status.conditions)
    generation = budget.metadata.generation
    if status.disruptions_allowed > 0:
        _set(status, "True", "SufficientPods", generation=generation, now=now)
    else:
        _set(status, "False", "InsufficientPods", generation=generation, now=now)


def _set(
    status: policy.PodDisruptionBudgetStatus, value: str, reason: str, *, generation: int, now: float, message: str = ""
) -> None:
    found = next((one for one in status.conditions if one.type == CONDITION), None)
    condition = found if found is not None else status.conditions.add(type=CONDITION)
    if condition.status != value:
        condition.last_transition_time.CopyFrom(meta.Time(seconds=int(now)))
    condition.status, condition.reason, condition.message = value, reason, message
    condition.observed_generation = generation
