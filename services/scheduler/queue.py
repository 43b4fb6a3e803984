"""Whose turn it is. Pure: the clock is an argument.

A pod that waits is in one of three places: ready (highest priority first, then first come), resting until a moment, or
parked until something that may help it happens. A pod that found no node is parked; a change of a node wakes those
that would fit there now. It then rests what is left of a pause that doubles with every attempt from BACKOFF_S to
BACKOFF_MAX_S, but for its first EAGER_ATTEMPTS it may go at once: a cluster that is just starting is not held up, and
one that is full is not kept busy. After PARKED_MAX_S it is tried again in any case.

Holds at most one entry for each pod that is not assigned.
"""

from __future__ import annotations

import enum
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass

from raftsman.core import v1 as core

from .demand import Demand

BACKOFF_S = 1.0
BACKOFF_MAX_S = 10.0
EAGER_ATTEMPTS = 5
PARKED_MAX_S = 300.0


class _Place(enum.Enum):
    READY = enum.auto()
    RESTING = enum.auto()
    PARKED = enum.auto()
    TAKEN = enum.auto()


@dataclass(slots=True)
class Waiting:
    """A pod in the queue, or taken from it to be decided about."""

    pod: core.Pod
    demand: Demand
    since: float
    attempts: int = 0
    rested_at: float = 0.0
    place: _Place = _Place.READY
    ticket: int = 0
    """Of several entries in the heaps only the one with this number counts."""

    @property
    def uid(self) -> str:
        return str(self.pod.metadata.uid)


class PodQueue:
    """Pods without a node, by uid."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._ready: list[tuple[int, int, str]] = []
        self._timed: list[tuple[float, int, str]] = []
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, pod: core.Pod, demand: Demand, *, now: float) -> None:
        """Add a pod, or take note of its change: one that asks for something else now has its turn again."""
        known = self._waiting.get(pod.metadata.uid)
        if known is None:
            known = self._waiting[pod.metadata.uid] = Waiting(pod, demand, now)
            self._make_ready(known)
            return
        changed = demand != known.demand or pod.spec.priority != known.pod.spec.priority
        known.pod, known.demand = pod, demand
        if changed and known.place is not _Place.TAKEN:
            known.attempts = 0
            self._make_ready(known)

    def remove(self, uid: str) -> None:
        self._waiting.pop(uid, None)

    def take(self) -> Waiting | None:
        """The next one; it stays known, so that it is not added again, until it is parked, rested or removed."""
        while self._ready:
            _, ticket, uid = heapq.heappop(self._ready)
            found = self._waiting.get(uid)
            if found is not None and found.ticket == ticket:
                found.place = _Place.TAKEN
                found.attempts += 1
                return found
        return None

    def park(self, waiting: Waiting, *, now: float) -> None:
        """It found no node: wait for a change that helps."""
        waiting.rested_at = now + _pause_s(waiting.attempts)
        self._time(waiting, _Place.PARKED, now + PARKED_MAX_S)

    def rest(self, waiting: Waiting, *, now: float) -> None:
        """Something went wrong that is not the nodes' doing: try again after the pause."""
        if waiting.uid in self._waiting:
            self._time(waiting, _Place.RESTING, now + _pause_s(waiting.attempts))

    def wake(self, fits: Callable[[Demand], bool], *, now: float) -> int:
        """Something changed: those that would fit go on, at once or when they have rested. How many did."""
        known: dict[Demand, bool] = {}
        woken = 0
        for waiting in self._waiting.values():
            if waiting.place is not _Place.PARKED:
                continue
            if waiting.demand not in known:
                known[waiting.demand] = fits(waiting.demand)
            if not known[waiting.demand]:
                continue
            woken += 1
            if waiting.attempts <= EAGER_ATTEMPTS or waiting.rested_at <= now:
                self._make_ready(waiting)
            else:
                self._time(waiting, _Place.RESTING, waiting.rested_at)
        return woken

    def tick(self, *, now: float) -> None:
        """Make ready whose time has come."""
        while (due := self.next_due()) is not None and due <= now:
            _, _, uid = heapq.heappop(self._timed)
            self._make_ready(self._waiting[uid])

    def next_due(self) -> float | None:
        """When `tick` has something to do; None if nobody rests."""
        while self._timed:
            due, ticket, uid = self._timed[0]
            waiting = self._waiting.get(uid)
            if waiting is not None and waiting.ticket == ticket:
                return due
            heapq.heappop(self._timed)
        return None

    def _make_ready(self, waiting: Waiting) -> None:
        waiting.place, waiting.ticket = _Place.READY, next(self._numbers)
        heapq.heappush(self._ready, (-waiting.pod.spec.priority, waiting.ticket, waiting.uid))

    def _time(self, waiting: Waiting, place: _Place, due: float) -> None:
        waiting.place, waiting.ticket = place, next(self._numbers)
        heapq.heappush(self._timed, (due, waiting.ticket, waiting.uid))


def _pause_s(attempts: int) -> float:
    return float(min(BACKOFF_S * 2 ** min(max(attempts - 1, 0), 10), BACKOFF_MAX_S))
