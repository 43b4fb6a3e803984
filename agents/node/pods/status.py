"""A pod's status as the API shows it: `compute(pod, observed, now)`. Pure; times are whole seconds.

What others wrote (conditions of readiness gates, the scheduler's, nominatedNodeName) is kept. A pod that has ended
never comes back to life here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from raftsman import times
from raftsman.core import v1 as core

from . import container_status, qos, resizing
from .decision import DEADLINE_MESSAGE, DEADLINE_REASON, deadline_of, settled
from .observation import Kind, Observed, Verdict, View, initialized, is_terminal, views

SCHEDULED = "PodScheduled"
STARTABLE = "PodReadyToStartContainers"
INITIALIZED = "Initialized"
CONTAINERS_READY = "ContainersReady"
READY = "Ready"
RESIZE_PENDING = "PodResizePending"
RESIZE_RUNS = "PodResizeInProgress"


def compute(pod: core.Pod, observed: Observed, *, now: datetime) -> core.PodStatus:
    """The status of `pod` now; equal to `pod.status` if there is nothing to say."""
    old = pod.status
    status = core.PodStatus()
    status.CopyFrom(old)
    if is_terminal(old.phase) and not observed.containers:
        return status
    all_views = views(pod, observed)
    over = is_terminal(old.phase) or settled(pod, all_views, now=now) or observed.evicted is not None
    ending = over or pod.metadata.HasField("deletion_timestamp") or observed.doomed is not None
    _addresses(status, pod, observed)
    if not status.HasField("start_time"):
        status.start_time.CopyFrom(times.from_datetime(now))
    if not status.qos_class:
        status.qos_class = qos.class_of(pod)
    _containers(status, pod, observed, all_views, ending=ending, now=now)
    if not is_terminal(old.phase):
        cut = _cut_short(pod, observed, now)
        status.phase = _phase(pod, all_views, over=over, ending=ending, cut=cut is not None)
        if cut is not None and status.phase == "Failed":
            status.reason, status.message = cut
    if pod.metadata.generation:
        status.observed_generation = pod.metadata.generation
    _conditions(status, pod, observed, all_views, now=now)
    return status


def _cut_short(pod: core.Pod, observed: Observed, now: datetime) -> tuple[str, str] | None:
    """Reason and message of a pod that has to fail, however its containers end."""
    if observed.evicted is not None:
        return observed.evicted_as, observed.evicted
    deadline = deadline_of(pod)
    return (DEADLINE_REASON, DEADLINE_MESSAGE) if deadline is not None and deadline <= now else None


def _addresses(status: core.PodStatus, pod: core.Pod, observed: Observed) -> None:
    if observed.host_ip:
        status.host_ip = observed.host_ip
        del status.host_ips[:]
        status.host_ips.add(ip=observed.host_ip)
    sandbox = observed.sandbox
    if sandbox is None:
        return
    addresses = (observed.host_ip,) if pod.spec.host_network else sandbox.addresses
    del status.pod_ips[:]
    for address in addresses:
        status.pod_ips.add(ip=address)
    if addresses:
        status.pod_ip = addresses[0]


def _containers(
    status: core.PodStatus,
    pod: core.Pod,
    observed: Observed,
    all_views: tuple[View, ...],
    *,
    ending: bool,
    now: datetime,
) -> None:
    ready = initialized(all_views, observed)
    del status.init_container_statuses[:]
    del status.container_statuses[:]
    del status.ephemeral_container_statuses[:]
    targets = {Kind.MAIN: status.container_statuses, Kind.EPHEMERAL: status.ephemeral_container_statuses}
    for view in all_views:
        target = targets.get(view.kind, status.init_container_statuses)
        waiting = "ContainerCreating" if ready or not pod.spec.init_containers else "PodInitializing"
        target.append(container_status.compute(pod, observed, view, waiting=waiting, ending=ending, now=now))


def _phase(pod: core.Pod, all_views: tuple[View, ...], *, over: bool, ending: bool, cut: bool) -> str:
    policy = pod.spec.restart_policy or "Always"
    mains = [v for v in all_views if v.kind is Kind.MAIN]
    verdicts = [v.verdict("Never" if ending else policy) for v in mains]
    if any(v.running for v in all_views if ending):
        return pod.status.phase or "Pending"
    if cut:
        return "Failed"
    if over:
        early = any(v.kind is Kind.INIT and v.verdict(policy) is Verdict.FAILED for v in all_views)
        return "Succeeded" if not early and all(v is Verdict.SUCCEEDED for v in verdicts) else "Failed"
    if ending:
        if all(v in (Verdict.SUCCEEDED, Verdict.FAILED) for v in verdicts):
            return "Succeeded" if all(v is Verdict.SUCCEEDED for v in verdicts) else "Failed"
        return pod.status.phase or "Pending"
    if all(v.runs or v.lost for v in mains) and any(v.runs for v in mains):
        return "Running"
    return "Running" if pod.status.phase == "Running" else "Pending"


def _conditions(
    status: core.PodStatus, pod: core.Pod, observed: Observed, all_views: tuple[View, ...], *, now: datetime
) -> None:
    def put(kind: str, true: bool, reason: str = "", message: str = "") -> None:
        put_condition(status, kind, true, reason=reason, message=message, now=now)

    _resizes(status, observed, all_views, now=now)
    put(SCHEDULED, True)
    put(STARTABLE, observed.sandbox is not None)
    done = status.phase == "Succeeded"
    waiting = [s.name for s in status.init_container_statuses if not s.ready]
    if done:
        put(INITIALIZED, True, "PodCompleted")
    elif waiting and not initialized(all_views, observed):
        put(INITIALIZED, False, "ContainersNotInitialized", f"containers with incomplete status: [{_join(waiting)}]")
    else:
        put(INITIALIZED, True)
    unready = [s.name for s in status.container_statuses if not s.ready]
    unready += [
        s.name for v, s in zip(all_views, status.init_container_statuses, strict=False)
        if v.kind is Kind.SIDECAR and not s.ready
    ]  # fmt: skip
    if done or status.phase == "Failed":
        reason = "PodCompleted" if done else "PodFailed"
        put(CONTAINERS_READY, False, reason)
        put(READY, False, reason)
        return
    message = f"containers with unready status: [{_join(unready)}]" if unready else ""
    put(CONTAINERS_READY, not unready, "ContainersNotReady" if unready else "", message)
    closed = _closed_gates(pod)
    if not unready and closed:
        put(READY, False, "ReadinessGatesNotReady", f"corresponding condition of pod readiness gate: [{_join(closed)}]")
    else:
        put(READY, not unready, "ContainersNotReady" if unready else "", message)


def _resizes(status: core.PodStatus, observed: Observed, all_views: tuple[View, ...], *, now: datetime) -> None:
    """Conditions that are there only while a resize is wanted and not done."""
    wanted = any(v.latest is not None and resizing.differs(v.spec, v.latest) for v in all_views)
    pending = observed.unfit if wanted else None
    for kind, there, reason, message in (
        (RESIZE_PENDING, pending is not None, *(pending or ("", ""))),
        (RESIZE_RUNS, wanted and pending is None, "Error" if observed.resize_failed else "", observed.resize_failed),
    ):
        if there:
            put_condition(status, kind, True, reason=reason, message=message, now=now)
        else:
            kept = [one for one in status.conditions if one.type != kind]
            if len(kept) != len(status.conditions):
                del status.conditions[:]
                status.conditions.extend(kept)


def _closed_gates(pod: core.Pod) -> list[str]:
    open_conditions = {c.type for c in pod.status.conditions if c.status == "True"}
    return [g.condition_type for g in pod.spec.readiness_gates if g.condition_type not in open_conditions]


def _join(names: Iterable[str]) -> str:
    return " ".join(names)


def put_condition(
    status: core.PodStatus, kind: str, true: bool, *, reason: str = "", message: str = "", now: datetime
) -> None:
    """Set one condition; its transition time moves only when its status does."""
    word = "True" if true else "False"
    condition = next((c for c in status.conditions if c.type == kind), None)
    if condition is None:
        condition = status.conditions.add(type=kind)
    if condition.status != word:
        condition.status = word
        condition.last_transition_time.CopyFrom(times.from_datetime(now))
    condition.ClearField("reason")
    condition.ClearField("message")
    if reason:
        condition.reason = reason
    if message:
        condition.message = message
