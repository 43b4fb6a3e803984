"""Where each answered operation stands in the order of revisions, as its answer says, and what the clock says of that.

The write that made revision R stands at 2R, whatever was answered at R without writing at 2R + 1. An operation that
ended before another was called must not stand behind it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from raftsman.etcd import rpc_pb2

from .history import Operation

READS = (rpc_pb2.RangeRequest, rpc_pb2.CompactionRequest, rpc_pb2.LeaseGrantRequest)
"""What never makes a revision."""


@dataclass(frozen=True, slots=True)
class Place:
    """An operation between `low` and `high`, which differ where only the state tells whether it wrote."""

    operation: Operation
    low: int
    high: int

    @property
    def revision(self) -> int:
        return self.low // 2

    @property
    def call(self) -> float:
        """A serializable read may be answered from any state of the past."""
        request = self.operation.request
        return -math.inf if isinstance(request, rpc_pb2.RangeRequest) and request.serializable else self.operation.call


def place(operation: Operation) -> Place:
    """Where an answered operation stands."""
    answer: Any = operation.answer
    revision = answer.header.revision
    if isinstance(operation.request, rpc_pb2.LeaseRevokeRequest):
        return Place(operation, 2 * revision, 2 * revision + 1)
    at = 2 * revision + (0 if _wrote(operation.request, answer) else 1)
    return Place(operation, at, at)


def _wrote(request: Message, answer: Any) -> bool:
    if isinstance(request, rpc_pb2.PutRequest):
        return True
    if isinstance(request, rpc_pb2.DeleteRangeRequest):
        return bool(answer.deleted)
    if isinstance(request, rpc_pb2.TxnRequest):
        return any(_wrote_inside(one) for one in answer.responses)
    return False


def _wrote_inside(one: rpc_pb2.ResponseOp) -> bool:
    if one.HasField("response_txn"):
        return any(_wrote_inside(inner) for inner in one.response_txn.responses)
    return one.HasField("response_put") or bool(one.response_delete_range.deleted)


class Clock:
    """Answers what the times of the answered operations allow."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._by_low = sorted(places, key=lambda each: each.low)
        self._lows = [each.low for each in self._by_low]
        self._first_end: list[Place | None] = [None] * (len(places) + 1)
        for position in range(len(places) - 1, -1, -1):
            each, behind = self._by_low[position], self._first_end[position + 1]
            self._first_end[position] = each if behind is None or each.operation.end < behind.operation.end else behind

    def ended_behind(self, at: int) -> Place | None:
        """Of the operations behind a place, the one that ended first."""
        return self._first_end[bisect_right(self._lows, at)]

    def contradictions(self) -> Iterator[tuple[Operation, Operation]]:
        """(earlier, later): earlier ended before later was called, yet stands behind it."""
        for each in self._by_low:
            earlier = self.ended_behind(each.high)
            if earlier is not None and earlier.operation.end < each.call:
                yield earlier.operation, each.operation

    def allows(self, call: float, *, at: int) -> bool:
        """Whether an operation that was called then may stand there: nobody behind it may have ended before."""
        behind = self.ended_behind(at)
        return behind is None or call <= behind.operation.end

    def at(self, low: int) -> list[Place]:
        return self._by_low[bisect_left(self._lows, low) : bisect_right(self._lows, low)]
