"""What to do next for one pod: `decide(pod, observed, now)` gives a `Plan`, and does nothing itself.

The order of a pod's life: sandbox and volumes; init containers one after the other (a sidecar counts as done once it
has started); main containers together; restarts by policy and back-off. A pod that ends (deleted, past its deadline,
finished) stops its main containers, then its sidecars in reverse, then gives back everything, and if it was deleted
is removed from the API.

    pod: init [a], main [web]        observed                          plan
    ─────────────────────────        ────────────────────────────     ─────────────────────────────
    just bound                       nothing                           Prepare
                                     sandbox                           Start(a, attempt 0)
                                     a exited 1, 3 s ago               wake in 7 s
                                     a exited 0                        Start(web, 0)
    image of web changed             web runs with another spec        Stop(web)
    deleted                          web runs                          Stop(web, grace 30)
                                     web exited, sandbox               Teardown
                                     nothing                           Finish
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from raftsman import times
from raftsman.agents.node.runtime import Container, Phase
from raftsman.core import v1 as core

from . import backoff, fingerprint, resizing
from .observation import (
    SANDBOX_LABEL,
    SPEC_LABEL,
    Kind,
    Observed,
    Verdict,
    View,
    backoff_of,
    fault_of,
    initialized,
    is_terminal,
    started,
    views,
)

GRACE_DEFAULT_S = 30
GRACE_LEAST_S = 1.0
DEADLINE_REASON = "DeadlineExceeded"
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


class Why(enum.Enum):
    """Why a running container is stopped."""

    DELETED = "deleted"
    UNHEALTHY = "unhealthy"
    CHANGED = "changed"
    STALE = "stale"
    """It belongs to a sandbox that is gone."""
    DEADLINE = "deadline"
    EVICTED = "evicted"
    RESIZED = "resized"
    """Its resources changed, and its resizePolicy asks for a restart."""
    FINISHED = "finished"
    """A sidecar whose main containers are done."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make the sandbox and the volumes."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start a container; `restart` if it ran before on this node."""

    name: str
    kind: Kind
    attempt: int
    last: Container | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Run the preStop hook, send the stop signal, and kill at the end of `grace_s`. Asked again with a shorter grace
    while it is under way, the shorter one holds."""

    id: str
    name: str
    grace_s: float
    why: Why
    message: str = ""


@dataclass(frozen=True, slots=True)
class Resize:
    """Change the limits of a running container to what its specification says now."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a dead container that is of no use any more."""

    id: str


@dataclass(frozen=True, slots=True)
class Abort:
    """Give up starts that are under way."""


@dataclass(frozen=True, slots=True)
class Teardown:
    """Give back sandbox, containers and volumes; logs and messages stay until Finish."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is left: report the last status, delete the object from the API, forget the pod."""


Action = Prepare | Start | Stop | Resize | Remove | Abort | Teardown | Finish


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, and when to look again if nothing happens before."""

    actions: tuple[Action, ...] = ()
    wake_at: datetime | None = None


def decide(pod: core.Pod, observed: Observed, *, now: datetime) -> Plan:
    """The next steps for `pod`. Pure."""
    all_views = views(pod, observed)
    if pod.metadata.HasField("deletion_timestamp"):
        return _end(pod, observed, all_views, grace_s=deletion_grace_s(pod, now=now), why=Why.DELETED)
    if observed.doomed is not None:
        return _end(pod, observed, all_views, grace_s=float(_grace_s(pod)), why=Why.DELETED)
    deadline = deadline_of(pod)
    if observed.evicted is not None and not is_terminal(pod.status.phase):
        return _end(pod, observed, all_views, grace_s=GRACE_LEAST_S, why=Why.EVICTED)
    if is_terminal(pod.status.phase) or settled(pod, all_views, now=now):
        why = Why.DEADLINE if deadline and deadline <= now else Why.FINISHED
        return _end(pod, observed, all_views, grace_s=float(_grace_s(pod)), why=why)
    return _with_wake(_live(pod, observed, all_views, now=now), deadline)


def deadline_of(pod: core.Pod) -> datetime | None:
    """When the pod has been active for as long as it may."""
    if not pod.spec.HasField("active_deadline_seconds") or not pod.status.HasField("start_time"):
        return None
    return times.to_datetime(pod.status.start_time) + timedelta(seconds=pod.spec.active_deadline_seconds)


def settled(pod: core.Pod, all_views: Iterable[View], *, now: datetime) -> bool:
    """The pod is over by itself: all main containers done for good, an init container failed for good, or too late."""
    deadline = deadline_of(pod)
    if deadline is not None and deadline <= now:
        return True
    policy = pod.spec.restart_policy or "Always"
    verdicts = [(v.kind, v.verdict(policy)) for v in all_views]
    if any(k is Kind.INIT and v is Verdict.FAILED for k, v in verdicts):
        return True
    return all(v in (Verdict.SUCCEEDED, Verdict.FAILED) for k, v in verdicts if k is Kind.MAIN)


def deletion_grace_s(pod: core.Pod, *, now: datetime) -> float:
    """What is left of a deleted pod's grace period: the API's deletionTimestamp is the moment when it is over."""
    grace_s = float(pod.metadata.deletion_grace_period_seconds)
    left_s = (times.to_datetime(pod.metadata.deletion_timestamp) - now).total_seconds()
    return max(GRACE_LEAST_S, min(grace_s, left_s + 1.0))


def _grace_s(pod: core.Pod) -> int:
    spec = pod.spec
    return (
        int(spec.termination_grace_period_seconds)
        if spec.HasField("termination_grace_period_seconds")
        else (GRACE_DEFAULT_S)
    )


def _with_wake(plan: Plan, moment: datetime | None) -> Plan:
    if moment is None:
        return plan
    return Plan(plan.actions, min(plan.wake_at, moment) if plan.wake_at else moment)


def _end(pod: core.Pod, observed: Observed, all_views: tuple[View, ...], *, grace_s: float, why: Why) -> Plan:
    if observed.busy:
        return Plan((Abort(),))
    kinds = {v.name: v.kind for v in all_views}
    running = [c for c in observed.containers if c.phase is Phase.RUNNING]
    mains = [c for c in running if kinds.get(c.name) is not Kind.SIDECAR]
    if mains:
        return Plan(tuple(Stop(c.id, c.name, grace_s, why) for c in mains))
    if running:
        order = [v.name for v in all_views]
        last = max(running, key=lambda c: order.index(c.name) if c.name in order else 0)
        return Plan((Stop(last.id, last.name, grace_s, why),))
    leaving = pod.metadata.HasField("deletion_timestamp") or observed.doomed is not None
    if not leaving and not is_terminal(pod.status.phase):
        return Plan()  # the end must be in the API before the containers that prove it are removed
    if observed.sandbox is not None or observed.containers or observed.on_disk:
        return Plan((Teardown(),))
    return Plan((Finish(),)) if leaving else Plan()


def _live(pod: core.Pod, observed: Observed, all_views: tuple[View, ...], *, now: datetime) -> Plan:
    stale = _stale(observed)
    if stale:
        return Plan(tuple(Stop(c.id, c.name, 0.0, Why.STALE) for c in stale))
    if observed.sandbox is None or not observed.prepared:
        return _prepare(pod, observed, now=now)
    if "" in observed.busy:
        return Plan()
    actions: list[Action] = []
    wakes: list[datetime] = []
    ready = initialized(all_views, observed)
    gate_open = True
    for view in all_views:
        if view.kind is Kind.MAIN and not ready:
            continue
        if view.kind in (Kind.INIT, Kind.SIDECAR) and (not gate_open or (ready and view.kind is Kind.INIT)):
            continue
        step = _container(pod, observed, view, now=now)
        actions.extend(step.actions)
        if step.wake_at:
            wakes.append(step.wake_at)
        if not ready and view.kind is not Kind.EPHEMERAL and not _passed(view, observed):
            gate_open = False
    actions.extend(_garbage(all_views, observed))
    return Plan(tuple(actions), min(wakes) if wakes else None)


def _passed(view: View, observed: Observed) -> bool:
    if view.kind is Kind.SIDECAR:
        return started(view, observed)
    return view.verdict("Never") is Verdict.SUCCEEDED


def _stale(observed: Observed) -> list[Container]:
    """Containers that run outside the pod's present sandbox."""
    if "" in observed.busy:
        return []
    generation = observed.generation or "none"
    return [
        c for c in observed.containers
        if c.phase is Phase.RUNNING and c.labels.get(SANDBOX_LABEL) != generation
    ]  # fmt: skip


def _prepare(pod: core.Pod, observed: Observed, *, now: datetime) -> Plan:
    if "" in observed.busy or not (observed.network_ready or pod.spec.host_network):
        return Plan()
    fault = observed.faults.get("")
    if fault is not None and fault.until > now:
        return Plan(wake_at=fault.until)
    return Plan((Prepare(),))


def _container(pod: core.Pod, observed: Observed, view: View, *, now: datetime) -> Plan:
    """Start, restart, stop or leave alone one container whose turn it is."""
    if view.name in observed.busy:
        return Plan()
    policy = pod.spec.restart_policy or "Always"
    verdict = view.verdict(policy)
    if verdict is Verdict.RUNNING:
        return _running(pod, observed, view)
    if verdict is not Verdict.WAITING:
        return Plan()
    run = view.latest
    if run is not None and run.phase is Phase.CREATED:
        return Plan((Remove(run.id),))
    fault = fault_of(view, observed)
    moments = [fault.until if fault else None, backoff.restart_at(backoff_of(view, observed), run)]
    due = max((m for m in moments if m), default=None)
    if due is not None and due > now:
        turn = backoff.shown_until(fault) if fault and fault.reason in backoff.PULL_REASONS else None
        return Plan(wake_at=min(due, turn) if turn and turn > now else due)
    return Plan((Start(view.name, view.kind, view.attempt, run),))


def _running(pod: core.Pod, observed: Observed, view: View) -> Plan:
    run = view.latest
    assert run is not None
    if run.id in observed.stopping:
        return Plan()
    health = observed.health.get(run.id)
    if health is not None and health.failure is not None:
        grace_s = health.grace_s if health.grace_s is not None else _grace_s(pod)
        return Plan((Stop(run.id, run.name, float(grace_s), Why.UNHEALTHY, health.failure),))
    if run.labels.get(SPEC_LABEL, "") != fingerprint.of(view.spec):
        return Plan((Stop(run.id, run.name, float(_grace_s(pod)), Why.CHANGED),))
    if observed.unfit is None and run.id not in observed.resizing and resizing.differs(view.spec, run):
        if resizing.restarts(view.spec, run):
            return Plan((Stop(run.id, run.name, float(_grace_s(pod)), Why.RESIZED),))
        return Plan((Resize(run.id, run.name),))
    return Plan()


def _garbage(all_views: tuple[View, ...], observed: Observed) -> list[Action]:
    """Dead runs but the newest of each container, which `logs --previous` and lastState still need."""
    found: list[Action] = []
    for view in all_views:
        dead = [run for run in view.runs if run.phase is Phase.EXITED]
        found.extend(Remove(run.id) for run in dead[:-1] if run.id not in observed.stopping)
    return found
