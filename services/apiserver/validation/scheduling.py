"""Disruption budgets and priority classes."""

from __future__ import annotations

from raftsman.meta import v1 as meta
from raftsman.policy import v1 as policy
from raftsman.scheduling import v1 as scheduling

from . import conditions, metadata, numbers
from .causes import Causes

SYSTEM_PREFIX = "system-"
SYSTEM_PRIORITIES = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
USER_PRIORITY_MAX = 1_000_000_000
PREEMPTION = ("Never", "PreemptLowerPriority")
_EVICTION = ("AlwaysAllow", "IfHealthyBudget")


def budget(found: policy.PodDisruptionBudget, causes: Causes) -> None:
    """How many must stay, or how many may go."""
    spec = found.spec
    if spec.HasField("min_available") and spec.HasField("max_unavailable"):
        causes.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    if spec.HasField("min_available"):
        _amount(spec.min_available, causes, path="spec.minAvailable")
    if spec.HasField("max_unavailable"):
        _amount(spec.max_unavailable, causes, path="spec.maxUnavailable")
    metadata.label_selector(spec.selector, causes, path="spec.selector")
    if spec.HasField("unhealthy_pod_eviction_policy") and spec.unhealthy_pod_eviction_policy not in _EVICTION:
        causes.not_supported("spec.unhealthyPodEvictionPolicy", spec.unhealthy_pod_eviction_policy, _EVICTION)


def _amount(found: meta.IntOrString, causes: Causes, *, path: str) -> None:
    numbers.amount(found, causes, path=path)
    numbers.at_most_all(found, causes, path=path)


def budget_update(new: policy.PodDisruptionBudget, old: policy.PodDisruptionBudget, causes: Causes) -> None:
    """Everything may change."""
    budget(new, causes)


def budget_status(new: policy.PodDisruptionBudget, old: policy.PodDisruptionBudget, causes: Causes) -> None:
    """Counts are none below zero."""
    status = new.status
    conditions.conditions(status.conditions, causes, path="status.conditions")
    counts = ("disruptions_allowed", "current_healthy", "desired_healthy", "expected_pods")
    numbers.not_negative(status, causes, path="status", fields=counts)


def priority_class(found: scheduling.PriorityClass, causes: Causes) -> None:
    """The prefix of the system's own is theirs, with their values; others stay below."""
    name = found.metadata.name
    if name.startswith(SYSTEM_PREFIX):
        wrong = _no_system_class(found)
        if wrong:
            causes.forbidden(
                "metadata.name",
                f"priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {wrong}",
            )
    elif found.value > USER_PRIORITY_MAX:
        causes.forbidden("value", f"maximum allowed value of a user defined priority is {USER_PRIORITY_MAX}")
    if found.HasField("preemption_policy"):
        if not found.preemption_policy:
            causes.required("preemptionPolicy")
        elif found.preemption_policy not in PREEMPTION:
            causes.not_supported("preemptionPolicy", found.preemption_policy, PREEMPTION)


def _no_system_class(found: scheduling.PriorityClass) -> str:
    name = found.metadata.name
    if name not in SYSTEM_PRIORITIES:
        return f"{name} is not a known system priority class"
    if found.value != SYSTEM_PRIORITIES[name]:
        return f"value of {name} PriorityClass must be {SYSTEM_PRIORITIES[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if found.global_default else ""


def priority_class_update(new: scheduling.PriorityClass, old: scheduling.PriorityClass, causes: Causes) -> None:
    """Pods carry the value as a copy: it stays."""
    if new.value != old.value:
        causes.change_forbidden("value", "may not be changed in an update.")
    if new.preemption_policy != old.preemption_policy:
        causes.changed("preemptionPolicy", new.preemption_policy)
