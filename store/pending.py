"""Operations that were proposed and are not applied yet, and whom to tell when they are.

Each has a request id; ids of operations that were proposed together follow one another and share a deadline. One timer,
set to the earliest deadline. Bounds: PENDING_MAX operations and PENDING_BYTES_MAX of them.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from google.protobuf.message import Message
from raftsman.store import errors
from raftsman.store.commands import Operation
from raftsman.store.mvcc.sessions import Outcome

PENDING_MAX = 20_000
PENDING_BYTES_MAX = 128 << 20

Settled = Message | Outcome | errors.StoreError
"""What became of an operation: etcd's answer with the revision in its header, the answer that its session remembers,
or a refusal."""


class Sink(Protocol):
    """Who wants to know what became of operations."""

    def settle(self, tag: int, settled: Settled) -> None:
        """`tag` is the caller's own number of the operation. Told once; may come at any time, also before returning
        from the proposal."""


class Pending:
    """Proposed operations by request id."""

    def __init__(self, first_id: int, *, seconds: float, late: Callable[[], errors.StoreError]) -> None:
        """After `seconds` an operation is settled with what `late` says."""
        self._ids = itertools.count(first_id)
        self._seconds = seconds
        self._late = late
        self._waiting: dict[int, tuple[Sink, int, int]] = {}
        self._deadlines: deque[tuple[float, int, int]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def has_room(self, count: int, size: int) -> bool:
        return len(self._waiting) + count <= PENDING_MAX and self._bytes + size <= PENDING_BYTES_MAX

    def next_id(self) -> int:
        return next(self._ids)

    def add(self, operations: Sequence[Operation], tags: Sequence[int], sink: Sink) -> None:
        """`operations` were given ids from `next_id`, one after the other."""
        waiting = self._waiting
        for operation, tag in zip(operations, tags, strict=True):
            size = len(operation.payload)
            waiting[operation.request_id] = sink, tag, size
            self._bytes += size
        loop = asyncio.get_running_loop()
        at = loop.time() + self._seconds
        self._deadlines.append((at, operations[0].request_id, operations[-1].request_id))
        if self._timer is None:
            self._timer = loop.call_at(at, self._expire)

    def settle(self, request_id: int, settled: Settled) -> None:
        """Tell who waits; nobody does for another member's operations."""
        waiting = self._waiting.pop(request_id, None)
        if waiting is not None:
            sink, tag, size = waiting
            self._bytes -= size
            sink.settle(tag, settled)

    def waits(self, request_id: int) -> bool:
        return request_id in self._waiting

    def fail_all(self, error: errors.StoreError) -> None:
        for request_id in list(self._waiting):
            self.settle(request_id, error)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _expire(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now, deadlines = loop.time(), self._deadlines
        while deadlines and (deadlines[0][0] <= now or not self._waiting):
            _, first, last = deadlines.popleft()
            for request_id in range(first, last + 1):
                if request_id in self._waiting:
                    self.settle(request_id, self._late())
        if deadlines:
            self._timer = loop.call_at(deadlines[0][0], self._expire)


class Lone:
    """A sink for one operation whose caller waits for a future."""

    __slots__ = ("future",)

    def __init__(self, future: asyncio.Future[Message]) -> None:
        self.future = future

    def settle(self, tag: int, settled: Settled) -> None:
        if self.future.done():
            return
        if isinstance(settled, errors.StoreError):
            self.future.set_exception(settled)
        else:
            assert isinstance(settled, Message), "only sessions remember outcomes"
            self.future.set_result(settled)
