"""How long a container waits before it is started again: 10 s, doubled each time up to 300 s.

The first restart is immediate; a run of STEADY_S forgets the past. Faults of starting (image, configuration) have
back-offs of their own, which grow alike.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from raftsman.agents.node.runtime import Container

from .observation import Backoff, Fault

RESTART_FIRST_S = 10.0
RESTART_MAX_S = 300.0
STEADY_S = 600.0
CONFIG_FIRST_S = 1.0
CONFIG_MAX_S = 20.0
PULL_SHOWN_S = 3.0
PULL_REASONS = frozenset({"ErrImagePull"})
FAST_REASONS = frozenset({"CreateContainerConfigError", "FailedMount", "FailedCreatePodSandBox", "NetworkNotReady"})


def after_restart(previous: Backoff | None, last: Container | None) -> Backoff:
    """The back-off that holds from now on, as `last` is being replaced by a new run."""
    if previous is None or _steady(last):
        return Backoff(RESTART_FIRST_S)
    return Backoff(min(previous.delay_s * 2, RESTART_MAX_S))


def restart_at(backoff: Backoff | None, last: Container | None) -> datetime | None:
    """When `last` may be followed by a new run; None: now."""
    if backoff is None or last is None or last.exit is None or _steady(last):
        return None
    return last.exit.finished_at + timedelta(seconds=backoff.delay_s)


def after_fault(previous: Fault | None, reason: str, message: str, *, now: datetime, spec: str = "") -> Fault:
    """The fault that a failed start leaves, with a longer delay if the one before it had the same reason."""
    quick = reason in FAST_REASONS
    first, most = (CONFIG_FIRST_S, CONFIG_MAX_S) if quick else (RESTART_FIRST_S, RESTART_MAX_S)
    again = previous is not None and (previous.reason, previous.spec) == (reason, spec)
    delay_s = min(previous.delay_s * 2, most) if previous and again else first
    return Fault(reason, message, now, delay_s, spec)


def shown(fault: Fault, image: str, *, now: datetime) -> tuple[str, str]:
    """Reason and message of a waiting state: a failed pull is shown as such at first, then as the back-off it is in."""
    if fault.reason in PULL_REASONS and shown_until(fault) <= now:
        return "ImagePullBackOff", f'Back-off pulling image "{image}": {fault.reason}: {fault.message}'
    return fault.reason, fault.message


def shown_until(fault: Fault) -> datetime:
    """When `shown` begins to say something else."""
    return fault.since + timedelta(seconds=PULL_SHOWN_S)


def _steady(run: Container | None) -> bool:
    if run is None or run.exit is None:
        return False
    begun = run.started_at or run.exit.started_at
    return begun is not None and (run.exit.finished_at - begun).total_seconds() >= STEADY_S
