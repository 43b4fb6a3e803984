"""A queue of keys to look at: each at most once at a time, again later if it failed.

A key that is added while it is being worked on is handed out once more when that is done; a key that waits already is
not added twice. So the queue holds at most one entry a key, and its bound is the number of objects. Failures of a key
wait BACKOFF_S, doubled each time up to BACKOFF_MAX_S, until `forget`; with a `Bucket`, all failures together come no
faster than that lets them.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

BACKOFF_S = 0.005
BACKOFF_MAX_S = 1000.0


class Closed(Exception):
    """The queue was closed and nothing is left in it."""


class Bucket:
    """Tokens that come at `rate` a second, at most `burst` of them at hand. Belongs to one event loop."""

    def __init__(self, rate: float, burst: int) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError("rate must be more than 0 and burst at least 1")
        self._rate, self._burst = rate, burst
        self._tokens = float(burst)
        self._at: float | None = None

    def reserve(self) -> float:
        """Take a token; how many seconds to wait until it is there."""
        now = asyncio.get_running_loop().time()
        gained = (now - self._at) * self._rate if self._at is not None else 0.0
        self._tokens, self._at = min(self._tokens + gained, float(self._burst)) - 1, now
        return max(-self._tokens / self._rate, 0.0)


class WorkQueue(Generic[K]):
    """Belongs to one event loop. Each `get` is paired with one `done`."""

    def __init__(
        self, *, backoff_s: float = BACKOFF_S, backoff_max_s: float = BACKOFF_MAX_S, bucket: Bucket | None = None
    ) -> None:
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._due: dict[K, float] = {}
        self._timers: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._alarm: asyncio.TimerHandle | None = None
        self._getters: deque[asyncio.Future[None]] = deque()
        self._backoff_s = backoff_s
        self._backoff_max_s = backoff_max_s
        self._bucket = bucket
        self._closed = False
        self._drained = asyncio.Event()

    def __len__(self) -> int:
        """How many keys are ready to be handed out."""
        return len(self._ready)

    def add(self, key: K) -> None:
        if self._closed:
            return
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.append(key)
            self._wake()

    def add_after(self, key: K, delay_s: float) -> None:
        """Add later; of several times asked for, the earliest counts."""
        if delay_s <= 0 or self._closed:
            self.add(key)
            return
        due = asyncio.get_running_loop().time() + delay_s
        if due >= self._due.get(key, float("inf")):
            return
        self._due[key] = due
        heapq.heappush(self._timers, (due, next(self._order), key))
        self._set_alarm()

    def add_rate_limited(self, key: K) -> None:
        """Add after the pause that the key's failures so far have earned it."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        pause_s = min(self._backoff_s * 2 ** min(failures, 64), self._backoff_max_s)
        self.add_after(key, max(pause_s, self._bucket.reserve()) if self._bucket is not None else pause_s)

    def failures(self, key: K) -> int:
        return self._failures.get(key, 0)

    def forget(self, key: K) -> None:
        """The key succeeded: its next failure waits the shortest time again."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key, oldest first. Raises Closed when the queue is closed and empty."""
        while not self._ready:
            if self._closed:
                raise Closed
            getter = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                if getter.done() and not getter.cancelled():
                    self._wake()
                raise
            finally:
                if getter in self._getters:
                    self._getters.remove(getter)
        key = self._ready.popleft()
        self._waiting.discard(key)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """The key that `get` gave is dealt with."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self._waiting.add(key)
            self._ready.append(key)
            self._wake()
        elif self._closed and not self._ready and not self._working:
            self._drained.set()

    async def close(self) -> None:
        """Take nothing more, drop what would come later, and wait until all that is there has been dealt with."""
        self._closed = True
        self._due.clear()
        self._set_alarm()
        for getter in self._getters:
            if not getter.done():
                getter.set_result(None)
        self._getters.clear()
        if self._ready or self._working:
            await self._drained.wait()

    def _wake(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _set_alarm(self) -> None:
        """Sleep until the earliest timer that still counts."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        while self._timers and self._due.get(self._timers[0][2]) != self._timers[0][0]:
            heapq.heappop(self._timers)
        if self._timers:
            self._alarm = asyncio.get_running_loop().call_at(self._timers[0][0], self._ring)

    def _ring(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._timers and self._timers[0][0] <= now:
            due, _, key = heapq.heappop(self._timers)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
        self._alarm = None
        self._set_alarm()
