"""What a ReplicaSet's status says of its pods. Pure.

Counts are of the pods that it has, as its cache shows them; `observedGeneration` says which spec they were compared
with. A status that says what the stored one says is not written, so conditions keep their times while nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from raftsman import times
from raftsman.apps import v1 as apps
from raftsman.core import v1 as core

from .replica_set_pods import available_in_s, is_ready

REPLICA_FAILURE = "ReplicaFailure"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the count could not be brought about. `reason`: FailedCreate or FailedDelete."""

    reason: str
    message: str


def status_of(
    replica_set: apps.ReplicaSet, active: Sequence[core.Pod], *, terminating: int, now: datetime
) -> apps.ReplicaSetStatus:
    """The counts, with the conditions that are stored."""
    spec = replica_set.spec
    labels = spec.template.metadata.labels.items()
    status = apps.ReplicaSetStatus(
        replicas=len(active),
        fully_labeled_replicas=sum(labels <= pod.metadata.labels.items() for pod in active),
        ready_replicas=sum(map(is_ready, active)),
        available_replicas=sum(available_in_s(pod, spec.min_ready_seconds, now=now) == 0 for pod in active),
        terminating_replicas=terminating,
        observed_generation=replica_set.metadata.generation,
    )
    status.conditions.extend(replica_set.status.conditions)
    return status


def note_failure(status: apps.ReplicaSetStatus, failure: Failure | None, *, now: datetime) -> None:
    """Set the condition ReplicaFailure, or take it away. One that is there already keeps its time and words."""
    standing = [c for c in status.conditions if c.type == REPLICA_FAILURE]
    if failure is not None and not standing:
        status.conditions.add(
            type=REPLICA_FAILURE,
            status="True",
            reason=failure.reason,
            message=failure.message,
            last_transition_time=times.from_datetime(now),
        )
    elif failure is None and standing:
        others = [c for c in status.conditions if c.type != REPLICA_FAILURE]
        del status.conditions[:]
        status.conditions.extend(others)
