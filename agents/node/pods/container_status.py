"""One container's status: state, last state, readiness, restarts. Pure."""

from __future__ import annotations

from datetime import datetime

from raftsman import times
from raftsman.agents.node.runtime import Container, Phase
from raftsman.core import v1 as core

from . import backoff, resizing
from .observation import IMAGE_LABEL, LOST_CODE, Kind, Observed, Verdict, View, backoff_of, fault_of, started

LOST_REASON = "ContainerStatusUnknown"
LOST_MESSAGE = "The container was gone when the node came back, so nobody saw how it ended"
ID_PREFIX = "podman://"


def compute(
    pod: core.Pod, observed: Observed, view: View, *, waiting: str, ending: bool, now: datetime
) -> core.ContainerStatus:
    """`waiting` is the reason shown for a container whose turn has not come; `ending`: nothing will be started."""
    status = core.ContainerStatus(name=view.name, image=view.spec.image, image_id="", ready=False, started=False)
    run = view.latest
    if run is None:
        _without_run(status, pod, observed, view, waiting=waiting, ending=ending, now=now)
        return status
    status.restart_count = run.attempt
    status.container_id = ID_PREFIX + run.id
    status.image = run.image
    status.image_id = run.labels.get(IMAGE_LABEL, run.image_id)
    _last_state(status, observed, view)
    if run.phase is Phase.RUNNING:
        _running(status, observed, view, run)
    elif run.exit is not None:
        _exited(status, pod, observed, view, run, ending=ending, now=now)
    else:
        status.state.waiting.reason = waiting
    return status


def _without_run(
    status: core.ContainerStatus,
    pod: core.Pod,
    observed: Observed,
    view: View,
    *,
    waiting: str,
    ending: bool,
    now: datetime,
) -> None:
    known = view.known
    status.restart_count = known.restart_count if known else 0
    if known is not None and view.lost:
        _lost(status, known)
        status.container_id = known.container_id
        if view.verdict("Never" if ending else pod.spec.restart_policy or "Always") is not Verdict.WAITING:
            status.state.CopyFrom(status.last_state)
            status.ClearField("last_state")
            status.image_id = known.image_id
            return
    elif known is not None and known.HasField("last_state"):
        status.last_state.CopyFrom(known.last_state)
    _put_waiting(status, observed, view, waiting=waiting, now=now)


def _lost(status: core.ContainerStatus, known: core.ContainerStatus) -> None:
    if known.state.HasField("terminated"):
        status.last_state.terminated.CopyFrom(known.state.terminated)
        return
    if known.state.HasField("waiting") and known.last_state.HasField("terminated"):
        status.last_state.CopyFrom(known.last_state)
        return
    ended = status.last_state.terminated
    ended.exit_code = LOST_CODE
    ended.reason = LOST_REASON
    ended.message = LOST_MESSAGE
    ended.container_id = known.container_id
    if known.state.running.HasField("started_at"):
        ended.started_at.CopyFrom(known.state.running.started_at)


def _put_waiting(status: core.ContainerStatus, observed: Observed, view: View, *, waiting: str, now: datetime) -> None:
    fault = fault_of(view, observed)
    state = status.state.waiting
    if fault is None:
        state.reason = waiting
        return
    state.reason, state.message = backoff.shown(fault, view.spec.image, now=now)


def _running(status: core.ContainerStatus, observed: Observed, view: View, run: Container) -> None:
    moment = run.started_at or run.created_at
    status.state.running.started_at.CopyFrom(times.from_datetime(moment))
    status.started = started(view, observed)
    health = observed.health.get(run.id)
    ready = health.ready if health else not view.spec.HasField("readiness_probe")
    resizing.report(status, view.spec, run, view.known)
    status.ready = status.started and ready and view.kind not in (Kind.INIT, Kind.EPHEMERAL)


def _exited(
    status: core.ContainerStatus,
    pod: core.Pod,
    observed: Observed,
    view: View,
    run: Container,
    *,
    ending: bool,
    now: datetime,
) -> None:
    ended = terminated(run, observed)
    policy = "Never" if ending else pod.spec.restart_policy or "Always"
    verdict = view.verdict(policy)
    final = verdict is not Verdict.WAITING or (ending and view.kind is not Kind.INIT)
    if final or (ending and view.current is not None):
        status.state.terminated.CopyFrom(ended)
        status.ready = view.kind is Kind.INIT and run.exit is not None and run.exit.code == 0
        return
    fault = fault_of(view, observed)
    pause = backoff_of(view, observed)
    if fault is None and pause is None:
        # The restart follows at once: what is seen is the end itself.
        status.state.terminated.CopyFrom(ended)
        return
    status.last_state.terminated.CopyFrom(ended)
    if fault is not None:
        _put_waiting(status, observed, view, waiting=fault.reason, now=now)
        return
    assert pause is not None
    status.state.waiting.reason = "CrashLoopBackOff"
    status.state.waiting.message = (
        f"back-off {pause.delay_s:.0f}s restarting failed container={view.name} "
        f"pod={pod.metadata.name}_{pod.metadata.namespace}({pod.metadata.uid})"
    )


def terminated(run: Container, observed: Observed) -> core.ContainerStateTerminated:
    """The end of a run, with its termination message."""
    assert run.exit is not None
    end = run.exit
    reason = "OOMKilled" if end.oom_killed else "Completed" if end.code == 0 else "Error"
    state = core.ContainerStateTerminated(
        exit_code=end.code,
        reason=reason,
        container_id=ID_PREFIX + run.id,
        started_at=times.from_datetime(end.started_at or run.started_at or run.created_at),
        finished_at=times.from_datetime(end.finished_at),
    )
    if end.signal:
        state.signal = end.signal
    message = observed.messages.get(run.id)
    if message:
        state.message = message
    return state


def _last_state(status: core.ContainerStatus, observed: Observed, view: View) -> None:
    """How the run before the latest one ended: from this node if it is still here, else as the API knows it."""
    if len(view.runs) > 1 and view.runs[-2].exit is not None:
        status.last_state.terminated.CopyFrom(terminated(view.runs[-2], observed))
        return
    known, run = view.known, view.runs[-1]
    if known is None or run.attempt == 0:
        return
    if known.restart_count == run.attempt:
        if known.HasField("last_state"):
            status.last_state.CopyFrom(known.last_state)
    elif known.container_id and known.container_id != ID_PREFIX + run.id:
        _lost(status, known)
