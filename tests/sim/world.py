"""Simulated time: a queue of events, everything drawn from one seed, and the trace by which two runs are compared.

The same seed gives the same trace, line by line; its hash is the run's fingerprint. Bounds: KEPT lines are kept to be
read, all of them when the run is asked to.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections import deque
from collections.abc import Callable
from random import Random

KEPT = 400
EVENTS_MAX = 3_000_000


class Violation(Exception):
    """A promise was broken. The sentence says which, and by whom."""


class Event:
    """Something that happens at a time, unless it is cancelled."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class World:
    """The clock that everything else reads. `now` is true time in seconds."""

    def __init__(self, seed: str, *, keep_all: bool = False) -> None:
        self.seed = seed
        self.now = 1000.0
        self.violation: Violation | None = None
        self.lines: deque[str] = deque(maxlen=None if keep_all else KEPT)
        self._hash = hashlib.blake2b(digest_size=8)
        self._events: list[tuple[float, int, Event]] = []
        self._order = itertools.count()
        self._happened = 0

    def random(self, purpose: str) -> Random:
        """A source of its own for every purpose, so that one more draw here moves nothing there."""
        return Random(f"{self.seed}/{purpose}")

    def at(self, when: float, call: Callable[[], None]) -> Event:
        event = Event(call)
        heapq.heappush(self._events, (max(when, self.now), next(self._order), event))
        return event

    def after(self, delay: float, call: Callable[[], None]) -> Event:
        return self.at(self.now + delay, call)

    def note(self, who: str, what: str) -> None:
        """A line of the trace."""
        line = f"{self.now - 1000:12.6f} {who:<4} {what}"
        self._hash.update(line.encode())
        self.lines.append(line)

    @property
    def fingerprint(self) -> str:
        return self._hash.hexdigest()

    def violate(self, sentence: str) -> None:
        """The first violation ends the run; it is kept even where the code under test catches everything."""
        if self.violation is None:
            self.note("!!", sentence)
            self.violation = Violation(sentence)
        raise self.violation

    def run(self, *, until: float, done: Callable[[], bool] = lambda: False) -> None:
        """Let things happen up to a time, or until `done`. Raises Violation."""
        while self._events and not done():
            when, _, event = self._events[0]
            if when > until:
                break
            heapq.heappop(self._events)
            if event.call is None:
                continue
            self.now = when
            self._happened += 1
            event.call()
            if self.violation is not None:
                raise self.violation
            if self._happened > EVENTS_MAX:
                self.violate(f"{EVENTS_MAX} events: something goes round in circles")
        if not done():
            self.now = max(self.now, until)
