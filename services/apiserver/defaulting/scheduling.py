"""Default values of priority classes."""

from __future__ import annotations

from raftsman.scheduling import v1 as scheduling


def priority_class(found: scheduling.PriorityClass) -> None:
    """Who is more important may take the place of others."""
    if not found.HasField("preemption_policy"):
        found.preemption_policy = "PreemptLowerPriority"
