"""Decide the next step of a Deployment: pure, no I/O, no clock, no randomness.

A step is what may be done at once from what is observed; what it leads to is observed by the next one. The table of
early exits is `decide`; how many pods each ReplicaSet may have is deployment_rollout.py's, which ReplicaSet is which
revision deployment_revisions.py's, what the status says deployment_status.py's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from raftsman import metadata, selectors
from raftsman.apps import v1 as apps
from raftsman.meta import v1 as meta

from . import deployment_revisions as revisions
from . import deployment_rollout as rollout
from . import deployment_status as statuses

DEFAULT_SHARE = "25%"
DEADLINE_SLACK_S = 1.0


@dataclass(frozen=True, slots=True)
class Observed:
    """What a decision is made from."""

    deployment: apps.Deployment
    replica_sets: tuple[apps.ReplicaSet, ...]
    """Those of its namespace that it owns, or that nobody owns."""
    pods: dict[str, int]
    """By uid of an owned ReplicaSet: its pods that have not ended, those on their way out too."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in this order."""

    adopt: tuple[apps.ReplicaSet, ...] = ()
    release: tuple[apps.ReplicaSet, ...] = ()
    change: tuple[apps.ReplicaSet, ...] = ()
    """New contents of ReplicaSets, with the resourceVersion that was observed."""
    create: apps.ReplicaSet | None = None
    revision: int = 0
    """For the Deployment's annotation; 0 leaves it."""
    delete: tuple[apps.ReplicaSet, ...] = ()
    status: apps.DeploymentStatus | None = None
    requeue_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class _View:
    """The observed ReplicaSets in their roles."""

    deployment: apps.Deployment
    limits: rollout.Limits
    rolling: bool
    new: apps.ReplicaSet | None
    olds: tuple[apps.ReplicaSet, ...]
    old_pods: int

    @property
    def all(self) -> tuple[apps.ReplicaSet, ...]:
        return self.olds if self.new is None else (self.new, *self.olds)

    @property
    def member(self) -> rollout.Member | None:
        return None if self.new is None else _member(self.new)

    @property
    def old_members(self) -> list[rollout.Member]:
        return [_member(old) for old in self.olds]


def decide(observed: Observed, *, now: datetime) -> Plan:
    deployment = observed.deployment
    adopt, release, owned = _claim(observed)
    view = _view(observed, owned)
    status = statuses.counters(deployment, view.all, new=view.new, least_available=view.limits.least_available, now=now)
    if metadata.is_deleting(deployment):
        return Plan(status=status)
    statuses.note_pause(status, deployment, now=now)
    if deployment.spec.paused or _was_resized(view):
        sizes = rollout.scale(view.limits, view.member, olds=view.old_members, rolling=view.rolling)
        tidy = revisions.beyond_history(deployment, view.olds) if deployment.spec.paused else ()
        change = _changes(view, sizes, resized=True)
        return Plan(adopt, release, change, revision=_revision(view), delete=tidy, status=status)
    sizes, create = _step(view)
    new = create or view.new
    if new is not None:
        statuses.note_new(status, deployment, name=new.metadata.name, made=create is not None, now=now)
    name = new.metadata.name if new is not None else deployment.metadata.name
    replicas = view.limits.replicas
    statuses.note_progress(status, deployment, replicas=replicas, name=name, now=now)
    statuses.note_replica_failure(status, view.all)
    left_s = statuses.seconds_left(status, deployment, now=now)
    return Plan(
        adopt,
        release,
        _changes(view, sizes, resized=False),
        create,
        revision=_revision(view, create),
        delete=revisions.beyond_history(deployment, view.olds) if statuses.is_complete(status, replicas) else (),
        status=status,
        requeue_after_s=None if left_s is None else left_s + DEADLINE_SLACK_S,
    )


def _claim(
    observed: Observed,
) -> tuple[tuple[apps.ReplicaSet, ...], tuple[apps.ReplicaSet, ...], tuple[apps.ReplicaSet, ...]]:
    """(to adopt, to release, those that are its own then): by selector, never from another owner."""
    deployment = observed.deployment
    selector = selectors.from_label_selector(deployment.spec.selector)
    adopt, release, owned = [], [], []
    for rs in observed.replica_sets:
        mine = metadata.is_controlled_by(rs, deployment)
        if selector.everything or not selector.matches(rs.metadata.labels):
            if mine and not metadata.is_deleting(deployment):
                release.append(rs)
        elif mine:
            owned.append(rs)
        elif metadata.controller_of(rs) is None and not metadata.is_deleting(rs):
            adopt.append(rs)
            owned.append(rs)
    return tuple(adopt), tuple(release), tuple(owned)


def _view(observed: Observed, owned: tuple[apps.ReplicaSet, ...]) -> _View:
    deployment = observed.deployment
    rolling = deployment.spec.strategy.type != "Recreate"
    new = revisions.find_new(deployment, owned)
    olds = tuple(rs for rs in owned if new is None or rs.metadata.uid != new.metadata.uid)
    return _View(
        deployment,
        limits_of(deployment) if rolling else rollout.Limits(revisions.desired(deployment)),
        rolling,
        new,
        olds,
        old_pods=sum(observed.pods.get(rs.metadata.uid, 0) for rs in olds),
    )


def limits_of(deployment: apps.Deployment) -> rollout.Limits:
    """What a rolling update may do, from numbers or percentages; a quarter either way if it does not say."""
    rolling = deployment.spec.strategy.rolling_update
    surge = _amount(rolling.max_surge) if rolling.HasField("max_surge") else DEFAULT_SHARE
    unavailable = _amount(rolling.max_unavailable) if rolling.HasField("max_unavailable") else DEFAULT_SHARE
    return rollout.limits(revisions.desired(deployment), surge, unavailable=unavailable)


def _amount(value: meta.IntOrString) -> int | str:
    return str(value.str_val) if value.type else int(value.int_val)


def _member(rs: apps.ReplicaSet) -> rollout.Member:
    return rollout.Member(
        rs.metadata.name,
        rs.spec.replicas if rs.spec.HasField("replicas") else 1,
        running=rs.status.replicas,
        ready_for_use=rs.status.available_replicas,
        age=revisions.age(rs),
        most_then=revisions.noted(rs, revisions.MOST) or 0,
        observed=rs.status.observed_generation >= rs.metadata.generation,
    )


def _was_resized(view: _View) -> bool:
    """The wanted number is not the one that a ReplicaSet with pods was last sized for."""
    notes = (revisions.noted(rs, revisions.DESIRED) for rs in view.all if rs.spec.replicas)
    return any(note is not None and note != view.limits.replicas for note in notes)


def _step(view: _View) -> tuple[rollout.Sizes, apps.ReplicaSet | None]:
    """New sizes, and the ReplicaSet of a new revision when it is time to make it."""
    olds, new = view.old_members, view.member
    if view.rolling:
        if new is not None:
            return rollout.roll(view.limits, new, olds=olds), None
        return {}, _build(view, rollout.first_size(view.limits, olds))
    sizes = rollout.recreate(view.limits, new, olds=olds, old_pods=view.old_pods)
    if new is None and not sizes and not view.old_pods:
        return {}, _build(view, view.limits.replicas)
    return sizes, None


def _build(view: _View, replicas: int) -> apps.ReplicaSet:
    number = revisions.next_revision(view.olds)
    return revisions.build(view.deployment, revision=number, replicas=replicas, most=view.limits.most)


def _revision(view: _View, create: apps.ReplicaSet | None = None) -> int:
    if create is not None:
        return revisions.revision_of(create)
    if view.new is None:
        return 0
    return max(revisions.revision_of(view.new), revisions.next_revision(view.olds))


def _changes(view: _View, sizes: rollout.Sizes, *, resized: bool) -> tuple[apps.ReplicaSet, ...]:
    """The ReplicaSets whose size or annotations are to be others than they are."""
    changed = []
    for rs in view.all:
        wanted = apps.ReplicaSet()
        wanted.CopyFrom(rs)
        if view.new is not None and rs.metadata.uid == view.new.metadata.uid:
            revisions.renew(wanted, view.deployment, revision=_revision(view))
        size = sizes.get(rs.metadata.name, rs.spec.replicas)
        if size != rs.spec.replicas or (resized and size):
            wanted.spec.replicas = size
            revisions.note_size(wanted, desired=view.limits.replicas, most=view.limits.most)
        if wanted != rs:
            changed.append(wanted)
    return tuple(changed)
