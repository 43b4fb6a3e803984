"""What is known about one pod on this node at one moment: the input of `decision.decide` and `status.compute`.

`Observed` is a value: containers and sandbox come from the runtime's memory, health from the prober, faults and
back-offs from what the worker itself went through. `views` joins it with the pod's spec, one `View` a container.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from raftsman.agents.node.runtime import Container, Phase, Sandbox
from raftsman.core import v1 as core

from . import fingerprint

EVICTED_REASON = "Evicted"
SANDBOX_LABEL = "raftsman.node/sandbox"
SPEC_LABEL = "raftsman.node/spec"
GRACE_LABEL = "raftsman.node/grace"
"""Carries the pod's terminationGracePeriodSeconds, for when nobody knows the pod any more."""
IMAGE_LABEL = "raftsman.node/image"
"""Carries the imageID of the API."""
RESOURCES_LABEL = "raftsman.node/resources"
"""Carries the limits that the container has; changed with them while it runs."""
_EMPTY: Mapping[str, object] = MappingProxyType({})


class Kind(enum.Enum):
    INIT = "init"
    SIDECAR = "sidecar"
    """An init container with restartPolicy Always."""
    MAIN = "main"
    EPHEMERAL = "ephemeral"
    """Added to a pod that runs; started once, and of no weight for the pod's own course."""


class Verdict(enum.Enum):
    """Where a container stands against what the pod wants of it."""

    WAITING = "waiting"
    """Must be started (again), now or after a back-off."""
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Health:
    """What probes said about one running container."""

    started: bool = True
    ready: bool = True
    failure: str | None = None
    """Why it has to be killed, once a liveness or startup probe has given up on it."""
    grace_s: int | None = None
    """The failed probe's own grace period, if it has one."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the last try to start a container (or, under the name "", the sandbox) failed."""

    reason: str
    message: str
    since: datetime
    delay_s: float
    spec: str = ""
    """The fingerprint of the specification that could not be started; another one is tried at once."""

    @property
    def until(self) -> datetime:
        return self.since + timedelta(seconds=self.delay_s)


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pause that a container's next restart has to keep, counted from its last exit."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Observed:
    """A pod's state on this node."""

    sandbox: Sandbox | None = None
    containers: tuple[Container, ...] = ()
    health: Mapping[str, Health] = field(default_factory=dict)
    """By container id; absent: not probed yet or nothing to probe."""
    faults: Mapping[str, Fault] = field(default_factory=dict)
    """By container name; "" is the sandbox with its volumes."""
    backoffs: Mapping[str, Backoff] = field(default_factory=dict)
    """By container name."""
    busy: frozenset[str] = frozenset()
    """Names of containers that are being started; "" while the sandbox is being made."""
    stopping: frozenset[str] = frozenset()
    """Ids of containers that are being stopped."""
    messages: Mapping[str, str] = field(default_factory=dict)
    """Termination messages by container id."""
    prepared: bool = False
    """Whether the volumes have been made ready since this agent started."""
    on_disk: bool = False
    """Whether the pod still has volumes here."""
    network_ready: bool = True
    host_ip: str = ""
    evicted: str | None = None
    """Why the pod must fail on this node, such as a volume that has grown too large."""
    evicted_as: str = EVICTED_REASON
    """The reason word of that."""
    unfit: tuple[str, str] | None = None
    """Why (a reason word and a sentence) what the pod asks for by now does not fit on the node."""
    resizing: frozenset[str] = frozenset()
    """Ids of containers whose limits are being changed, or could not be changed just now."""
    resize_failed: str = ""
    """Why limits could not be changed."""
    doomed: str | None = None
    """Why the pod must end although nobody deleted it, such as a node that is going away."""

    @property
    def generation(self) -> str | None:
        """Which sandbox containers must belong to, as SANDBOX_LABEL carries it."""
        return self.sandbox.created_at.isoformat() if self.sandbox else None


@dataclass(frozen=True, slots=True)
class View:
    """One container of the spec with all its runs on this node, oldest first."""

    spec: core.Container
    kind: Kind
    runs: tuple[Container, ...]
    known: core.ContainerStatus | None
    """What the API last heard of it."""
    generation: str | None

    @property
    def name(self) -> str:
        return str(self.spec.name)

    @property
    def latest(self) -> Container | None:
        return self.runs[-1] if self.runs else None

    @property
    def current(self) -> Container | None:
        """The latest run, if it belongs to the sandbox that there is now."""
        run = self.latest
        return run if run and self.generation and run.labels.get(SANDBOX_LABEL) == self.generation else None

    @property
    def lost(self) -> bool:
        """The API knows of a run of which nothing is left here: the machine was reset, or brought down and up."""
        return not self.runs and self.known is not None and bool(self.known.container_id)

    @property
    def lost_code(self) -> int:
        """The exit code of a lost run: as the API knows it, else LOST_CODE."""
        if self.known is None:
            return LOST_CODE
        for state in (self.known.state, self.known.last_state):
            if state.HasField("terminated"):
                return int(state.terminated.exit_code)
            if state.HasField("running"):
                break
        return LOST_CODE

    @property
    def attempt(self) -> int:
        """The number of the next run."""
        if self.latest is not None:
            return self.latest.attempt + 1
        restarts = int(self.known.restart_count) if self.known else 0
        return restarts + 1 if self.lost else restarts

    @property
    def running(self) -> bool:
        return self.latest is not None and self.latest.phase is Phase.RUNNING

    @property
    def exit_code(self) -> int | None:
        """Of the latest run; None while it runs or where there is none."""
        run = self.latest
        return run.exit.code if run and run.exit else None

    def verdict(self, policy: str) -> Verdict:
        """`policy` is the pod's restartPolicy."""
        if self.running:
            return Verdict.RUNNING
        if self.kind is Kind.INIT:
            return self._init_verdict(policy)
        code = self.lost_code if self.lost else self.exit_code
        if self.kind is Kind.EPHEMERAL and code is not None:
            return Verdict.FAILED if code else Verdict.SUCCEEDED
        if code is None or self.kind is Kind.SIDECAR or policy == "Always":
            return Verdict.WAITING
        if code == 0:
            return Verdict.SUCCEEDED
        return Verdict.FAILED if policy == "Never" else Verdict.WAITING

    def _init_verdict(self, policy: str) -> Verdict:
        run = self.current
        if run is None or run.exit is None:
            return Verdict.WAITING
        if run.exit.code == 0:
            return Verdict.SUCCEEDED
        return Verdict.FAILED if policy == "Never" else Verdict.WAITING


LOST_CODE = 137
"""The exit code that a container gets whose end nobody saw (the API's ContainerStatusUnknown)."""


def views(pod: core.Pod, observed: Observed) -> tuple[View, ...]:
    """All containers of the pod: init and sidecar containers in their order, then the main ones."""
    return tuple(_views(pod, observed))


def _views(pod: core.Pod, observed: Observed) -> Iterator[View]:
    runs: dict[str, list[Container]] = {}
    for run in observed.containers:
        runs.setdefault(run.name, []).append(run)
    for found in runs.values():
        found.sort(key=lambda run: run.attempt)
    generation = observed.generation
    known = {s.name: s for s in pod.status.init_container_statuses}
    for spec in pod.spec.init_containers:
        kind = Kind.SIDECAR if spec.restart_policy == "Always" else Kind.INIT
        yield View(spec, kind, tuple(runs.get(spec.name, ())), known.get(spec.name), generation)
    known = {s.name: s for s in pod.status.container_statuses}
    for spec in pod.spec.containers:
        yield View(spec, Kind.MAIN, tuple(runs.get(spec.name, ())), known.get(spec.name), generation)
    known = {s.name: s for s in pod.status.ephemeral_container_statuses}
    for spec in ephemeral_of(pod):
        yield View(spec, Kind.EPHEMERAL, tuple(runs.get(spec.name, ())), known.get(spec.name), generation)


def ephemeral_of(pod: core.Pod) -> list[core.Container]:
    """The pod's ephemeral containers as the containers that they are: the same fields under the same numbers."""
    return [
        core.Container.FromString(one.ephemeral_container_common.SerializeToString())
        for one in pod.spec.ephemeral_containers
    ]


def specs_of(pod: core.Pod) -> list[core.Container]:
    """Every container of the pod, of whichever kind."""
    return [*pod.spec.init_containers, *pod.spec.containers, *ephemeral_of(pod)]


def fault_of(view: View, observed: Observed) -> Fault | None:
    """Why the container could not be started as it is specified now."""
    fault = observed.faults.get(view.name)
    return fault if fault and fault.spec in ("", fingerprint.of(view.spec)) else None


def backoff_of(view: View, observed: Observed) -> Backoff | None:
    """The pause before the container's next run, unless that is by another specification than the last."""
    run = view.latest
    unchanged = run is None or run.labels.get(SPEC_LABEL) == fingerprint.of(view.spec)
    return observed.backoffs.get(view.name) if unchanged else None


def started(view: View, observed: Observed) -> bool:
    """Running, with its startup probe (if any) passed."""
    run = view.latest
    if run is None or run.phase is not Phase.RUNNING or view.name in observed.busy:
        return False
    health = observed.health.get(run.id)
    return health.started if health else not view.spec.HasField("startup_probe")


def initialized(all_views: tuple[View, ...], observed: Observed) -> bool:
    """All init containers are done and all sidecars up; stays true once a main container ran in this sandbox."""
    if any(v.kind is Kind.MAIN and v.current for v in all_views):
        return True
    for view in all_views:
        if view.kind is Kind.INIT and view.verdict("Never") is not Verdict.SUCCEEDED:
            return False
        if view.kind is Kind.SIDECAR and not started(view, observed):
            return False
    return True


def is_terminal(phase: str) -> bool:
    return phase in ("Succeeded", "Failed")
