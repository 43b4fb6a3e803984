"""What a Deployment's status says of its rollout: counters, and the conditions Available and Progressing. Pure.

Progressing is True while a rollout moves (`lastUpdateTime` is when it last did) and when it is done, False when it
stood still for progressDeadlineSeconds or its ReplicaSet cannot be made, Unknown while paused. Reasons and sentences
that tools look for are Kubernetes'.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from raftsman import times
from raftsman.apps import v1 as apps

AVAILABLE, PROGRESSING, REPLICA_FAILURE = "Available", "Progressing", "ReplicaFailure"
DONE, MOVING, TIMED_OUT = "NewReplicaSetAvailable", "ReplicaSetUpdated", "ProgressDeadlineExceeded"
CREATED, FOUND, NOT_CREATED = "NewReplicaSetCreated", "FoundNewReplicaSet", "ReplicaSetCreateError"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"
NO_DEADLINE = 2**31 - 1


def counters(
    deployment: apps.Deployment,
    replica_sets: Sequence[apps.ReplicaSet],
    *,
    new: apps.ReplicaSet | None,
    least_available: int,
    now: datetime,
) -> apps.DeploymentStatus:
    """The sums over all ReplicaSets, the stored conditions, and Available from the sums."""
    available = sum(rs.status.available_replicas for rs in replica_sets)
    status = apps.DeploymentStatus(
        observed_generation=deployment.metadata.generation,
        replicas=sum(rs.status.replicas for rs in replica_sets),
        updated_replicas=new.status.replicas if new is not None else 0,
        ready_replicas=sum(rs.status.ready_replicas for rs in replica_sets),
        available_replicas=available,
        unavailable_replicas=max(0, sum(rs.spec.replicas for rs in replica_sets) - available),
        terminating_replicas=sum(rs.status.terminating_replicas for rs in replica_sets),
    )
    if deployment.status.HasField("collision_count"):
        status.collision_count = deployment.status.collision_count
    status.conditions.extend(deployment.status.conditions)
    if available >= least_available:
        _set(status, AVAILABLE, ("True", "MinimumReplicasAvailable", "Deployment has minimum availability."), now=now)
    else:
        words = "Deployment does not have minimum availability."
        _set(status, AVAILABLE, ("False", "MinimumReplicasUnavailable", words), now=now)
    return status


def condition(status: apps.DeploymentStatus, kind: str) -> apps.DeploymentCondition | None:
    for found in status.conditions:
        if found.type == kind:
            typed: apps.DeploymentCondition = found
            return typed
    return None


def _set(status: apps.DeploymentStatus, kind: str, what: tuple[str, str, str], *, now: datetime) -> None:
    """`what`: status, reason, message. The same status and reason again change nothing."""
    before = condition(status, kind)
    if before is None or (before.status, before.reason) != what[:2]:
        _renew(status, kind, what, now=now)


def _renew(status: apps.DeploymentStatus, kind: str, what: tuple[str, str, str], *, now: datetime) -> None:
    """As `_set`, but the time of the last update is now in any case."""
    before = condition(status, kind)
    stamp = times.from_datetime(now)
    fresh = apps.DeploymentCondition(type=kind, status=what[0], reason=what[1], message=what[2])
    fresh.last_update_time.CopyFrom(stamp)
    kept = before is not None and before.status == what[0]
    fresh.last_transition_time.CopyFrom(before.last_transition_time if before is not None and kept else stamp)
    _remove(status, kind)
    status.conditions.append(fresh)


def _remove(status: apps.DeploymentStatus, kind: str) -> None:
    others = [found for found in status.conditions if found.type != kind]
    del status.conditions[:]
    status.conditions.extend(others)


def has_deadline(deployment: apps.Deployment) -> bool:
    spec = deployment.spec
    return spec.HasField("progress_deadline_seconds") and spec.progress_deadline_seconds != NO_DEADLINE


def note_pause(status: apps.DeploymentStatus, deployment: apps.Deployment, *, now: datetime) -> None:
    """A paused rollout is not late: Progressing is Unknown from the pause on, and counts anew when it is resumed."""
    before = condition(status, PROGRESSING)
    if not has_deadline(deployment) or (before is not None and before.reason == TIMED_OUT):
        return
    was_paused = before is not None and before.reason == PAUSED
    if deployment.spec.paused and not was_paused:
        _renew(status, PROGRESSING, ("Unknown", PAUSED, "Deployment is paused"), now=now)
    elif was_paused and not deployment.spec.paused:
        _renew(status, PROGRESSING, ("Unknown", RESUMED, "Deployment is resumed"), now=now)


def note_new(
    status: apps.DeploymentStatus, deployment: apps.Deployment, *, name: str, made: bool, now: datetime
) -> None:
    """The ReplicaSet of this revision is being made, or was there already."""
    if not has_deadline(deployment):
        return
    if made:
        _renew(status, PROGRESSING, ("True", CREATED, f'Created new replica set "{name}"'), now=now)
    elif condition(status, PROGRESSING) is None:
        _renew(status, PROGRESSING, ("True", FOUND, f'Found new replica set "{name}"'), now=now)


def note_not_created(status: apps.DeploymentStatus, name: str, *, why: str, now: datetime) -> None:
    _set(status, PROGRESSING, ("False", NOT_CREATED, f'Failed to create new replica set "{name}": {why}'), now=now)


def is_complete(status: apps.DeploymentStatus, replicas: int) -> bool:
    return bool(status.updated_replicas == status.replicas == status.available_replicas == replicas)


def note_progress(
    status: apps.DeploymentStatus, deployment: apps.Deployment, *, replicas: int, name: str, now: datetime
) -> None:
    """Where the rollout stands; `name` is the new ReplicaSet, `replicas` what is wanted."""
    if not has_deadline(deployment):
        _remove(status, PROGRESSING)
        return
    before = condition(status, PROGRESSING)
    if before is not None and before.reason == DONE and status.replicas == status.updated_replicas:
        return
    if is_complete(status, replicas):
        words = f'ReplicaSet "{name}" has successfully progressed.'
        _set(status, PROGRESSING, ("True", DONE, words), now=now)
    elif _has_moved(deployment.status, status):
        _renew(status, PROGRESSING, ("True", MOVING, f'ReplicaSet "{name}" is progressing.'), now=now)
    elif _is_late(status, deployment, now=now):
        words = f'ReplicaSet "{name}" has timed out progressing.'
        _set(status, PROGRESSING, ("False", TIMED_OUT, words), now=now)


def note_replica_failure(status: apps.DeploymentStatus, replica_sets: Sequence[apps.ReplicaSet]) -> None:
    """Show the first ReplicaSet that cannot make its pods; `replica_sets` with the new one first."""
    _remove(status, REPLICA_FAILURE)
    for rs in replica_sets:
        for found in rs.status.conditions:
            if found.type == REPLICA_FAILURE:
                copy = status.conditions.add(
                    type=found.type, status=found.status, reason=found.reason, message=found.message
                )
                copy.last_update_time.CopyFrom(found.last_transition_time)
                copy.last_transition_time.CopyFrom(found.last_transition_time)
                return


def _has_moved(before: apps.DeploymentStatus, after: apps.DeploymentStatus) -> bool:
    return bool(
        after.updated_replicas > before.updated_replicas
        or after.replicas - after.updated_replicas < before.replicas - before.updated_replicas
        or after.ready_replicas > before.ready_replicas
        or after.available_replicas > before.available_replicas
    )


def _is_late(status: apps.DeploymentStatus, deployment: apps.Deployment, *, now: datetime) -> bool:
    left = seconds_left(status, deployment, now=now)
    return left is not None and left <= 0


def seconds_left(status: apps.DeploymentStatus, deployment: apps.Deployment, *, now: datetime) -> float | None:
    """Until the rollout is late; None if nothing is awaited."""
    progressing = condition(status, PROGRESSING)
    if progressing is None or progressing.reason in (DONE, TIMED_OUT, PAUSED) or not has_deadline(deployment):
        return None
    deadline = progressing.last_update_time.seconds + deployment.spec.progress_deadline_seconds
    return max(0.0, deadline - now.timestamp())
