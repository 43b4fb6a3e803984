"""Decide what a ReplicaSet needs: pure, no I/O, no clock, no randomness.

Observed(replica_set of 3, pods a and b)              → create 1
… of 1, pods a (ready) and b (pending)                → delete b
… pod c that matches and that nobody owns             → adopt c, and count it
… pod a whose label was changed                       → release a, and count without it
… not settled (own writes are not in the cache yet)   → count for the status only
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from raftsman import metadata, selectors
from raftsman.apps import v1 as apps
from raftsman.core import v1 as core

from .replica_set_expectations import EXPECTATION_S
from .replica_set_pods import available_in_s, first_to_delete, is_active, is_terminating
from .replica_set_status import status_of

BURST_MAX = 500


@dataclass(frozen=True, slots=True)
class Observed:
    """What a decision is made from."""

    replica_set: apps.ReplicaSet
    pods: tuple[core.Pod, ...]
    """Pods of its namespace that it owns, or that nobody owns."""
    siblings: tuple[core.Pod, ...] = ()
    """Pods of the other ReplicaSets of the same owner, by which doubled-up nodes are known."""
    settled: bool = True
    """Whether the cache shows all that was created and deleted before."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do."""

    status: apps.ReplicaSetStatus | None
    """How things are when the deletions have been made: a pod that is being lost must not count as available, as a
    rollout that relied on it would go too far. None while the cache does not show enough to count."""
    adopt: tuple[core.Pod, ...] = ()
    release: tuple[core.Pod, ...] = ()
    create: int = 0
    delete: tuple[core.Pod, ...] = ()
    managed: bool = False
    """Whether the count was looked at, so that the outcome decides the condition ReplicaFailure."""
    requeue_after_s: float | None = None


@dataclass(slots=True)
class _Claims:
    active: list[core.Pod] = field(default_factory=list)
    terminating: int = 0
    adopt: list[core.Pod] = field(default_factory=list)
    release: list[core.Pod] = field(default_factory=list)


def decide(observed: Observed, *, now: datetime) -> Plan:
    """At most BURST_MAX pods are created or deleted by one plan; the rest follows when they have been seen."""
    replica_set = observed.replica_set
    claims = _claim(observed)
    status = status_of(replica_set, claims.active, terminating=claims.terminating, now=now)
    if metadata.is_deleting(replica_set):
        return Plan(status)
    adopt, release = tuple(claims.adopt), tuple(claims.release)
    if not observed.settled:
        return Plan(None, adopt, release, requeue_after_s=EXPECTATION_S)
    wanted = replica_set.spec.replicas if replica_set.spec.HasField("replicas") else 1
    missing = wanted - len(claims.active)
    if missing > 0:
        return Plan(status, adopt, release, create=min(missing, BURST_MAX), managed=True)
    if missing < 0:
        related = [*claims.active, *filter(is_active, observed.siblings)]
        doomed = first_to_delete(claims.active, min(-missing, BURST_MAX), related=related)
        gone = {pod.metadata.uid for pod in doomed}
        kept = [pod for pod in claims.active if pod.metadata.uid not in gone]
        status = status_of(replica_set, kept, terminating=claims.terminating, now=now)
        return Plan(status, adopt, release, delete=doomed, managed=True)
    wait_s = _until_next_available(replica_set, claims.active, now=now)
    return Plan(status, adopt, release, managed=True, requeue_after_s=wait_s)


def _claim(observed: Observed) -> _Claims:
    """A pod is taken in if the selector matches it and nobody owns it, and let go if the selector no longer does."""
    claims = _Claims()
    replica_set = observed.replica_set
    leaving = metadata.is_deleting(replica_set)
    selector = selectors.from_label_selector(replica_set.spec.selector)
    for pod in observed.pods:
        active = is_active(pod)
        if not active and not is_terminating(pod):
            continue
        owned = metadata.is_controlled_by(pod, replica_set)
        if selector.everything or not selector.matches(pod.metadata.labels):
            if owned and active and not leaving:
                claims.release.append(pod)
            continue
        if not owned:
            if not active or leaving or metadata.controller_of(pod) is not None:
                continue
            claims.adopt.append(pod)
        if active:
            claims.active.append(pod)
        else:
            claims.terminating += 1
    return claims


def _until_next_available(replica_set: apps.ReplicaSet, pods: list[core.Pod], *, now: datetime) -> float | None:
    min_ready_s = replica_set.spec.min_ready_seconds
    waits = [available_in_s(pod, min_ready_s, now=now) for pod in pods] if min_ready_s else []
    return min((wait for wait in waits if wait), default=None)
