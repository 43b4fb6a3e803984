"""Operations that were proposed and are not applied yet, and whom to tell when they are.

Each has a request id; ids of operations that were proposed together follow one another and share a deadline. One timer,
set to the earliest deadline. Bounds: PENDING_MAX operations and PENDING_BYTES_MAX of them.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Container, Sequence
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


class _Group:
    """Operations that were proposed together: their ids, their deadline, and how many are not settled."""

    __slots__ = ("deadline", "first", "last", "left")

    def __init__(self, deadline: float, first: int, last: int) -> None:
        self.deadline, self.first, self.last = deadline, first, last
        self.left = last - first + 1


class Pending:
    """Proposed operations by request id."""

    def __init__(self, first_id: int, *, seconds: float, late: Callable[[], errors.StoreError]) -> None:
        """After `seconds` an operation is settled with what `late` says."""
        self._ids = itertools.count(first_id)
        self._seconds = seconds
        self._late = late
        self._waiting: dict[int, tuple[Sink, int, int, _Group]] = {}
        self._groups: deque[_Group] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waiting(self) -> Container[int]:
        """The ids of all of them."""
        return self._waiting

    def has_room(self, count: int, size: int) -> bool:
        return len(self._waiting) + count <= PENDING_MAX and self._bytes + size <= PENDING_BYTES_MAX

    def next_id(self) -> int:
        return next(self._ids)

    def add(self, operations: Sequence[Operation], tags: Sequence[int], sink: Sink) -> None:
        """`operations` were given ids from `next_id`, one after the other."""
        loop, waiting, groups = asyncio.get_running_loop(), self._waiting, self._groups
        group = _Group(loop.time() + self._seconds, operations[0].request_id, operations[-1].request_id)
        for operation, tag in zip(operations, tags, strict=True):
            size = len(operation.payload)
            waiting[operation.request_id] = sink, tag, size, group
            self._bytes += size
        while groups and not groups[0].left:
            groups.popleft()
        groups.append(group)
        if self._timer is None:
            self._timer = loop.call_at(group.deadline, self._expire)

    def settle(self, request_id: int, settled: Settled) -> None:
        """Tell who waits; nobody does for another member's operations."""
        waiting = self._waiting.pop(request_id, None)
        if waiting is not None:
            sink, tag, size, group = waiting
            self._bytes -= size
            group.left -= 1
            sink.settle(tag, settled)

    def fail_all(self, error: errors.StoreError) -> None:
        for request_id in list(self._waiting):
            self.settle(request_id, error)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _expire(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now, groups = loop.time(), self._groups
        while groups and (groups[0].deadline <= now or not groups[0].left):
            group = groups.popleft()
            for request_id in range(group.first, group.last + 1) if group.left else ():
                if request_id in self._waiting:
                    self.settle(request_id, self._late())
        if groups:
            self._timer = loop.call_at(groups[0].deadline, self._expire)


class Waiters:
    """A sink for operations whose callers wait for futures: the tag is the future's place."""

    __slots__ = ("futures",)

    def __init__(self, *futures: asyncio.Future[Message | Outcome]) -> None:
        self.futures = futures

    def settle(self, tag: int, settled: Settled) -> None:
        future = self.futures[tag]
        if future.done():
            return
        if isinstance(settled, errors.StoreError):
            future.set_exception(settled)
        else:
            future.set_result(settled)
