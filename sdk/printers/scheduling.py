"""The cells of disruption budgets and priority classes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from raftsman import times
from raftsman.meta import v1 as meta
from raftsman.policy import v1 as policy
from raftsman.scheduling import v1 as scheduling


def budget(obj: policy.PodDisruptionBudget, now: datetime) -> Sequence[str]:
    spec = obj.spec
    return (
        obj.metadata.name,
        amount(spec.min_available) if spec.HasField("min_available") else "N/A",
        amount(spec.max_unavailable) if spec.HasField("max_unavailable") else "N/A",
        str(obj.status.disruptions_allowed),
        times.age(obj.metadata.creation_timestamp, now=now),
    )


def amount(found: meta.IntOrString) -> str:
    """A count or a percentage."""
    return found.str_val if found.type == 1 else str(found.int_val)


def priority_class(obj: scheduling.PriorityClass, now: datetime) -> Sequence[str]:
    return (
        obj.metadata.name,
        str(obj.value),
        "true" if obj.global_default else "false",
        times.age(obj.metadata.creation_timestamp, now=now),
        obj.preemption_policy,
    )
