"""Runs the probes of all containers of the node: one heap of due times, one timer, no task for an idle probe.

`watch` a container when it runs, `forget` it when it ends; `health` is what the pod worker looks at; `on_change(uid)`
is called when something about it changed. At most AT_ONCE_MAX probes run together, the others wait. While a container
has not been ready yet, its readiness (or startup) is asked sooner than its period says, at first after EARLY_S: a
server that needs 50 ms to listen need not wait ten seconds; failures of the first period count for nothing.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from raftsman import logs
from raftsman.agents.node.pods.observation import Health
from raftsman.agents.node.runtime import Runtime
from raftsman.core import v1 as core

from . import judgement
from .handlers import Outcome, Target, carry_out
from .judgement import Role, Standing, Timing

log = logs.get(__name__)

AT_ONCE_MAX = 32
EARLY_S = 0.1
EARLY_GROWTH = 2.0
EARLY_MAX_S = 1.0


@dataclass(slots=True)
class _Probe:
    role: Role
    probe: core.Probe
    timing: Timing
    standing: Standing
    next_full: float = 0.0
    """When the next result counts, if the probe is being asked early."""
    early_s: float = EARLY_S
    counted: bool = False
    """Whether a result has counted."""


@dataclass(slots=True)
class _Watched:
    uid: str
    target: Target
    probes: dict[Role, _Probe]
    begun: float
    failure: str | None = None
    grace_s: int | None = None
    gone: bool = False
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def started(self) -> bool:
        return Role.STARTUP not in self.probes or self.probes[Role.STARTUP].standing.passing

    @property
    def ready(self) -> bool:
        return self.started and (Role.READINESS not in self.probes or self.probes[Role.READINESS].standing.passing)


Unhealthy = Callable[[str, str, Role, str], None]
"""Told of each failure that counts: pod uid, container id, role, message."""


class Prober:
    """All probes of the node."""

    def __init__(self, runtime: Runtime, *, on_change: Callable[[str], None], on_failure: Unhealthy) -> None:
        self._runtime = runtime
        self._on_change = on_change
        self._on_failure = on_failure
        self._watched: dict[str, _Watched] = {}
        self._heap: list[tuple[float, int, _Watched, Role]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._slots = asyncio.Semaphore(AT_ONCE_MAX)

    def watch(self, uid: str, target: Target, *, age_s: float = 0.0) -> None:
        """Begin with a container that has run for `age_s` (more than 0 after this agent's own restart). Idempotent."""
        if target.container.id in self._watched:
            return
        probes = dict(_probes(target.spec))
        if not probes:
            return
        loop = asyncio.get_running_loop()
        watched = _Watched(uid, target, probes, loop.time() - age_s)
        self._watched[target.container.id] = watched
        begin = (Role.STARTUP,) if Role.STARTUP in probes else (Role.LIVENESS, Role.READINESS)
        for role in begin:
            self._begin(watched, role, adopted=age_s > 0)

    def forget(self, container_id: str) -> None:
        """The container is ending, or has ended."""
        watched = self._watched.pop(container_id, None)
        if watched is None:
            return
        watched.gone = True
        for task in watched.tasks:
            task.cancel()

    def health(self, container_id: str) -> Health | None:
        """None: nothing to probe, or not watched."""
        watched = self._watched.get(container_id)
        if watched is None:
            return None
        return Health(watched.started, watched.ready, watched.failure, watched.grace_s)

    def watches(self, container_id: str) -> bool:
        return container_id in self._watched

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for container_id in [*self._watched]:
            self.forget(container_id)
        self._heap.clear()

    def _begin(self, watched: _Watched, role: Role, *, adopted: bool) -> None:
        if role not in watched.probes:
            return
        one = watched.probes[role]
        now = asyncio.get_running_loop().time()
        first = max(now, watched.begun + one.timing.initial_delay_s)
        if adopted:
            first += random.uniform(0, min(one.timing.period_s, 1.0))
        one.next_full = first + one.timing.period_s if _eager(one) else first
        self._push(first, watched, role)

    def _push(self, when: float, watched: _Watched, role: Role) -> None:
        heapq.heappush(self._heap, (when, next(self._order), watched, role))
        if self._heap[0][2] is watched and self._heap[0][3] is role:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._heap and self._heap[0][2].gone:
            heapq.heappop(self._heap)
        if self._heap:
            self._timer = asyncio.get_running_loop().call_at(self._heap[0][0], self._fire)

    def _fire(self) -> None:
        now = asyncio.get_running_loop().time()
        self._timer = None
        while self._heap and self._heap[0][0] <= now:
            _, _, watched, role = heapq.heappop(self._heap)
            if watched.gone or watched.failure is not None:
                continue
            task = asyncio.create_task(self._ask(watched, role), name=f"probe {role.value}")
            watched.tasks.add(task)
            task.add_done_callback(watched.tasks.discard)
        self._arm()

    async def _ask(self, watched: _Watched, role: Role) -> None:
        one = watched.probes[role]
        begun = asyncio.get_running_loop().time()
        async with self._slots:
            outcome = await carry_out(self._runtime, watched.target, one.probe.handler, timeout_s=one.timing.timeout_s)
        if watched.gone:
            return
        self._take(watched, one, outcome, begun)
        if role is Role.STARTUP and one.standing.passing:
            self._begin(watched, Role.LIVENESS, adopted=False)
            self._begin(watched, Role.READINESS, adopted=False)
            return
        if not one.standing.given_up:
            self._push(self._next(one, begun), watched, role)

    def _take(self, watched: _Watched, one: _Probe, outcome: Outcome, begun: float) -> None:
        if not outcome.passed and begun < one.next_full and _eager(one):
            return
        before = (watched.started, watched.ready)
        one.counted = True
        one.standing = judgement.judge(one.standing, outcome.passed, role=one.role, timing=one.timing)
        one.next_full = begun + one.timing.period_s
        if not outcome.passed:
            self._on_failure(watched.uid, watched.target.container.id, one.role, outcome.message)
        if one.standing.given_up:
            name = watched.target.spec.name
            watched.failure = f"Container {name} failed {one.role.value} probe, will be restarted"
            if one.probe.HasField("termination_grace_period_seconds"):
                watched.grace_s = int(one.probe.termination_grace_period_seconds)
        if one.standing.given_up or (watched.started, watched.ready) != before:
            self._on_change(watched.uid)

    def _next(self, one: _Probe, begun: float) -> float:
        if _eager(one):
            delay_s, one.early_s = one.early_s, min(one.early_s * EARLY_GROWTH, EARLY_MAX_S)
            return min(begun + delay_s, one.next_full)
        return max(one.next_full, begun)


def _eager(one: _Probe) -> bool:
    """Nothing has counted yet, and the pod wants to be asked from the start."""
    return one.role is not Role.LIVENESS and not one.counted and one.timing.initial_delay_s == 0


def _probes(spec: core.Container) -> list[tuple[Role, _Probe]]:
    found = []
    for role in Role:
        field_name = f"{role.value}_probe"
        if spec.HasField(field_name):  # type: ignore[arg-type]
            probe = getattr(spec, field_name)
            found.append((role, _Probe(role, probe, judgement.timing_of(probe), judgement.begin(role))))
    return found
